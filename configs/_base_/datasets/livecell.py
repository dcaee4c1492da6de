# LIVECell: images of the competition's size, eight cell lines, official splits without folds
# (tools/data/prepare_livecell.py). Some images hold about 3,000 cells.
_base_ = ['./sartorius.py']

data_root = '{{$LIVECELL_DATA:data/livecell}}'
annotations = '{{$LIVECELL_ANNOTATIONS:work_dirs/data/livecell}}'
fold = None

train_dataloader = dict(
    dataset=dict(dataset=dict(type='LIVECellDataset', data_root=data_root, ann_file=f'{annotations}/train.json'))
)
val_dataloader = dict(dataset=dict(type='LIVECellDataset', data_root=data_root, ann_file=f'{annotations}/val.json'))
test_dataloader = dict(dataset=dict(type='LIVECellDataset', data_root=data_root, ann_file=f'{annotations}/test.json'))
val_evaluator = dict(ann_file=f'{annotations}/val.json')
