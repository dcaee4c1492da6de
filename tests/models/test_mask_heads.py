"""The mask heads return their grid, and pasting it gives what MMDetection's own heads paste."""

import numpy as np
import pytest
import torch
from mmdet.models.roi_heads.mask_heads import FCNMaskHead, HTCMaskHead
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData

from sartorius.masks.paste import binarise
from sartorius.models.mask_heads import SoftHTCMaskHead, SoftMaskHead
from sartorius.models.outputs import to_image_predictions

SIZE = (40, 50)
META = {'ori_shape': SIZE, 'scale_factor': (2.0, 2.0)}
HEADS = [SoftMaskHead, SoftHTCMaskHead]


def results() -> InstanceData:
    """Three boxes in the frame of the image at twice its size."""
    boxes = torch.tensor([[10.0, 8.0, 50.0, 60.0], [0.0, 0.0, 100.0, 80.0], [61.4, 21.2, 99.9, 52.8]])
    return InstanceData(bboxes=boxes, labels=torch.tensor([0, 2, 1]), scores=torch.tensor([0.9, 0.8, 0.7]))


@pytest.mark.parametrize('class_agnostic', [False, True])
@pytest.mark.parametrize('kinds', [(FCNMaskHead, SoftMaskHead), (HTCMaskHead, SoftHTCMaskHead)], ids=['plain', 'htc'])
def test_pastes_as_the_stock_head(kinds: tuple[type, type], class_agnostic: bool) -> None:
    torch.manual_seed(0)
    # Smooth logits: at a pixel whose probability is 0.5 to the last bit both answers would be right.
    coarse = torch.randn(3, 1 if class_agnostic else 3, 4, 4)
    logits = torch.nn.functional.interpolate(coarse, size=(28, 28), mode='bilinear')
    heads = [kind(num_classes=3, num_convs=1, class_agnostic=class_agnostic) for kind in kinds]
    config = ConfigDict(mask_thr_binary=0.5)
    stock, ours = (head.predict_by_feat((logits,), [results()], [META], config, rescale=True)[0] for head in heads)
    crops = binarise(ours.masks.numpy(), ours.bboxes.numpy(), SIZE, np.full(3, 0.5))
    assert ours.masks.shape == (3, 28, 28)
    torch.testing.assert_close(ours.bboxes, stock.bboxes)
    for crop, mask in zip(crops, stock.masks.numpy(), strict=True):
        assert np.count_nonzero(crop.to_full(SIZE) != mask) <= 1


def test_without_rescale_boxes_stay() -> None:
    pred = SoftMaskHead(num_classes=3).predict_by_feat(
        (torch.zeros(3, 3, 28, 28),), [results()], [META], ConfigDict(), rescale=False
    )[0]
    assert pred.bboxes.tolist() == results().bboxes.tolist()
    assert pred.masks.unique().tolist() == [0.5]


def test_probabilities_pass_through() -> None:
    masks = torch.rand(3, 3, 28, 28)
    pred = SoftMaskHead(num_classes=3).predict_by_feat((masks,), [results()], [META], ConfigDict(), activate_map=True)[
        0
    ]
    torch.testing.assert_close(pred.masks[1], masks[1, 2])


@pytest.mark.parametrize('kind', HEADS)
def test_last_layer_starts_near_zero(kind: type) -> None:
    head = kind(num_classes=3, class_agnostic=True)
    head.init_weights()
    with torch.no_grad():
        logits = head(torch.randn(2, 256, 14, 14))
        # HTC's head gives its features as well, for the next stage.
        assert (logits[0] if isinstance(logits, list) else logits).abs().max() < 1


@pytest.mark.parametrize('kind', HEADS)
@pytest.mark.parametrize('dtype', [torch.float64, torch.float16, torch.bfloat16])
def test_masks_keep_the_type_of_the_logits(kind: type, dtype: torch.dtype) -> None:
    logits = torch.randn(3, 3, 28, 28)
    pred = kind(num_classes=3).predict_by_feat((logits.to(dtype),), [results()], [META], ConfigDict(), rescale=True)[0]
    assert (pred.masks.dtype, pred.bboxes.dtype) == (dtype, torch.float32)
    image = to_image_predictions({'img_id': 'a', 'ori_shape': SIZE, 'pred_instances': pred.to_dict()})
    assert image.soft_masks.dtype == np.float32
    # bfloat16 has steps of 1/256 below 1.
    np.testing.assert_allclose(image.soft_masks, logits[range(3), [0, 2, 1]].sigmoid(), atol=0.01)


@pytest.mark.parametrize('kind', HEADS)
def test_mixed_precision(kind: type) -> None:
    head = kind(num_classes=3, num_convs=1)
    features = torch.randn(3, 256, 14, 14)
    with torch.no_grad(), torch.autocast('cpu', torch.bfloat16):
        logits = head(features)
        logits = logits[0] if isinstance(logits, list) else logits
        pred = head.predict_by_feat((logits,), [results()], [META], ConfigDict(), rescale=True)[0]
    assert logits.dtype == torch.bfloat16
    assert pred.masks.shape == (3, 28, 28)
    assert 0 <= pred.masks.min() < pred.masks.max() <= 1


@pytest.mark.parametrize('class_agnostic', [False, True])
@pytest.mark.parametrize('kind', HEADS)
def test_no_tensor_leaves_its_device(kind: type, class_agnostic: bool) -> None:
    """The meta device refuses to meet the CPU's tensors, as a GPU does."""
    head = kind(num_classes=3, class_agnostic=class_agnostic)
    pred = results().to('meta')
    logits = torch.zeros(3, 1 if class_agnostic else 3, 28, 28, device='meta')
    pred = head.predict_by_feat((logits,), [pred], [META], ConfigDict(), rescale=True)[0]
    assert pred.masks.shape == (3, 28, 28)
    assert {pred[field].device.type for field in ('masks', 'bboxes', 'labels')} == {'meta'}


def test_image_without_cells_beside_one_with_cells() -> None:
    none = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.int64), scores=torch.zeros(0))
    logits = (torch.zeros(0, 3, 28, 28), torch.zeros(3, 3, 28, 28))
    empty, full = SoftMaskHead(num_classes=3).predict_by_feat(logits, [none, results()], [META, META], ConfigDict())
    assert (empty.masks.shape, full.masks.shape) == ((0, 28, 28), (3, 28, 28))


def test_conversion_names_the_image_and_handles_none() -> None:
    sample = {'img_id': 'abc', 'ori_shape': SIZE}
    pred = results()
    pred.masks = torch.full((3, 28, 28), 0.3)
    full = to_image_predictions({**sample, 'pred_instances': pred.to_dict()})
    assert (full.image_id, full.size, len(full)) == ('abc', SIZE, 3)
    np.testing.assert_allclose(full.soft_masks, 0.3, atol=0.5 / 255)
    # MMDetection gives an image without cells full-size masks, of which there are none.
    none = InstanceData(bboxes=torch.zeros(0, 4), scores=torch.zeros(0), masks=torch.zeros(0, *SIZE))
    assert len(to_image_predictions({**sample, 'pred_instances': none.to_dict()})) == 0
