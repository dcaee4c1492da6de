# The CPU-size twin of livecell/mrcnn_r50.py: pre-training for mrcnn_r18_livecell.py on made images of eight cell types
# in LIVECell's form (tools/data/make_synthetic.py --form livecell, then tools/data/prepare_livecell.py), or on
# LIVECell itself.
_base_ = [
    '../_base_/models/mask_rcnn_r18_small.py',
    '../_base_/datasets/demo.py',
    '../_base_/default_runtime.py',
    '../_base_/schedules/demo.py',
    '../_base_/postprocess_livecell.py',
    '../_base_/tta.py',
]

data_root = 'work_dirs/demo/eight_types'
annotations = 'work_dirs/demo/eight_types_annotations'

model = dict(roi_head=dict(bbox_head=dict(num_classes=8), mask_head=dict(num_classes=8)))
train_dataloader = dict(dataset=dict(dataset=dict(type='LIVECellDataset', ann_file='train.json')))
val_dataloader = dict(dataset=dict(type='LIVECellDataset', ann_file='val.json'))
test_dataloader = dict(dataset=dict(type='LIVECellDataset', ann_file='test.json'))
tta_orientations = ['none', 'diagonal']
tta_scales = [2.0]
default_hooks = dict(checkpoint=dict(interval=250))
