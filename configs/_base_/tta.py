# Views for tools/test.py --tta: each turned or flipped, at each scale. Boxes of all views are fused, then every view
# draws the masks of the fused boxes, which are turned back and averaged.
tta_model = dict(type='CellTTAModel', method='wbf')
tta_views = ['none', 'horizontal', 'vertical', 'diagonal']
tta_scales = [(2000, 1040)]
