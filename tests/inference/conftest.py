"""A model whose answer is known: it detects bright blobs and predicts their exact masks."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.structures import InstanceData
from scipy import ndimage

GRID = 28


class BlobRoIHead:
    """Boxes are those of the connected bright regions; a mask is the image itself, sampled on the RoI grid."""

    test_cfg = SimpleNamespace(score_thr=0.05, max_per_img=10)

    def predict_bbox(self, features, metas, proposals, rcnn_test_cfg, rescale):
        image = features[0][0, 0].numpy() > 0.5
        labels, _ = ndimage.label(image)
        boxes = [[x.start, y.start, x.stop, y.stop] for y, x in ndimage.find_objects(labels)]
        scale = torch.tensor(metas[0]['scale_factor']).repeat(2) if rescale else 1
        pred = InstanceData(
            bboxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4) / scale,
            scores=torch.full((len(boxes),), 0.9),
            labels=torch.zeros(len(boxes), dtype=torch.int64),
        )
        return [pred]

    def predict_mask(self, features, metas, results, rescale):
        grids = []
        height, width = features[0].shape[-2:]
        for x1, y1, x2, y2 in results[0].bboxes:
            centres = (torch.arange(GRID) + 0.5) / GRID
            xs = (x1 + centres * (x2 - x1)) / width * 2 - 1
            ys = (y1 + centres * (y2 - y1)) / height * 2 - 1
            grid = torch.stack(torch.meshgrid(ys, xs, indexing='ij')[::-1], dim=-1)[None]
            grids.append(torch.nn.functional.grid_sample(features[0], grid, align_corners=False)[0, 0])
        results[0].masks = torch.stack(grids)
        if rescale:
            results[0].bboxes = results[0].bboxes / torch.tensor(metas[0]['scale_factor']).repeat(2)
        return results


class BlobDetector(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.roi_head = BlobRoIHead()
        self.rpn_head = SimpleNamespace(predict=lambda features, samples, rescale: None)

    def test_step(self, data):
        """One image in one pass; boxes in pixels of the image file."""
        processed = self.data_preprocessor(data, False)
        features, sample = self.extract_feat(processed['inputs']), processed['data_samples'][0]
        metas = [sample.metainfo]
        pred = self.roi_head.predict_bbox(features, metas, None, rcnn_test_cfg=None, rescale=False)
        if len(pred[0]):
            pred = self.roi_head.predict_mask(features, metas, pred, rescale=True)
        sample.pred_instances = pred[0]
        return [sample]

    def data_preprocessor(self, data, training):
        inputs = torch.stack(data['inputs']).float()
        # Black and white are 0 and 255 in a file, 0 and 1 in an array of this module.
        return {'inputs': inputs / inputs.max().clamp(min=1), 'data_samples': data['data_samples']}

    def extract_feat(self, inputs):
        return (inputs,)


@pytest.fixture
def blob_detector() -> BlobDetector:
    return BlobDetector()
