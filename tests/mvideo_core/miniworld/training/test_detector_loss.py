"""Assignment and losses of the mini detector on boxes worked out by hand."""

import math

import pytest
import torch

from mvideo_core.miniworld.training.detector_loss import (
    Target,
    assign,
    cross_iou,
    pair_giou,
    quality_focal,
    set_loss,
    to_xyxy,
)

NONE = torch.zeros(0, 4)


def target(*boxes, spans=None, ignored=NONE):
    rows = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    return Target(rows, torch.eye(3)[: len(rows)] if spans is None else spans, ignored)


def test_iou_and_giou_by_hand():
    a, b = torch.tensor([[0.0, 0, 2, 2]]), torch.tensor([[1.0, 1, 3, 3]])
    assert cross_iou(a, b).item() == pytest.approx(1 / 7)
    assert pair_giou(a, b).item() == pytest.approx(1 / 7 - 2 / 9)  # hull 9, union 7
    assert pair_giou(a, a + 4).item() == pytest.approx(0 - 28 / 36)
    torch.testing.assert_close(to_xyxy(torch.tensor([0.5, 0.5, 0.2, 0.4])), torch.tensor([0.4, 0.3, 0.6, 0.7]))


def test_quality_focal_by_hand():
    # p = 1/2, target 0: 0.5^2 * ln 2; p = 1/2, target 1/2: nothing to learn
    values = quality_focal(torch.zeros(2), torch.tensor([0.0, 0.5]))
    torch.testing.assert_close(values, torch.tensor([0.25 * math.log(2), 0.0]))


def test_tokens_inside_the_box_compete_and_the_best_gets_the_iou_as_target():
    centers = torch.tensor([[0.1, 0.1], [0.3, 0.3], [0.35, 0.35], [0.9, 0.9]])
    truth = torch.tensor([0.2, 0.2, 0.4, 0.4])
    boxes = torch.stack([truth, truth + 0.02, truth, truth])
    found = assign(torch.zeros(4, 3), boxes, centers, target(truth.tolist()), top_k=2)
    assert found.owner_S.tolist() == [-1, 0, 0, -1], "only tokens whose center lies in the object may learn it"
    shifted = 0.18 * 0.18 / (2 * 0.04 - 0.18 * 0.18)
    assert found.quality_S[2].item() == pytest.approx(1.0)
    assert found.quality_S[1].item() == pytest.approx(shifted**4, rel=1e-4), "equal scores: IoU^4 decides"


def test_top_k_limits_and_overlapping_objects_share_no_token():
    centers = torch.full((6, 2), 0.5)
    a, b = [0.4, 0.4, 0.6, 0.6], [0.3, 0.3, 0.7, 0.7]
    boxes = torch.tensor([a, a, a, b, b, b])
    found = assign(torch.zeros(6, 3), boxes, centers, target(a, b), top_k=2)
    assert sorted(found.owner_S.tolist()) == [-1, -1, 0, 0, 1, 1]
    assert (found.owner_S[:3] <= 0).all()


def test_object_between_all_tokens_still_gets_one():
    centers = torch.tensor([[0.1, 0.1], [0.9, 0.9]])
    boxes = torch.tensor([[0.0, 0.0, 0.2, 0.2], [0.5, 0.5, 0.6, 0.6]])
    found = assign(torch.zeros(2, 3), boxes, centers, target([0.52, 0.52, 0.6, 0.6]), top_k=3)
    assert found.owner_S.tolist() == [-1, 0]


def test_ignored_places_weigh_nothing():
    centers = torch.tensor([[0.1, 0.1], [0.9, 0.9]])
    boxes = torch.rand(2, 4)
    found = assign(torch.zeros(2, 3), boxes, centers, target(ignored=torch.tensor([[0.8, 0.8, 1.0, 1.0]])), top_k=3)
    assert found.weight_S.tolist() == [1.0, 0.0]
    logits = torch.tensor([[[-20.0, -20, -20], [9.0, 9, 9]]])
    losses = set_loss(logits, boxes[None], centers, [target(ignored=torch.tensor([[0.8, 0.8, 1.0, 1.0]]))], 3)
    assert losses.total().item() == pytest.approx(0, abs=1e-6)


def test_perfect_prediction_costs_nothing_and_its_span_alone_is_right():
    truth = torch.tensor([[0.2, 0.2, 0.6, 0.4]])
    center = torch.tensor([[0.4, 0.3, 0.4, 0.2]])
    spans = torch.tensor([[0.0, 0.5, 0.5, 0.0]])
    good = torch.tensor([[[-20.0, 20, 20, -20]]])
    one = Target(truth, spans, NONE)
    right = set_loss(good, center[None], None, [one], 1)
    assert right.total().item() == pytest.approx(0, abs=1e-4)
    wrong = set_loss(-good, center[None], None, [one], 1)
    assert wrong.classes.item() == pytest.approx(80, rel=1e-3)  # four tokens, each 20 nats
    assert wrong.giou.item() == pytest.approx(0, abs=1e-4)


def test_gradient_pulls_the_box_onto_the_object():
    boxes = torch.tensor([[[0.45, 0.5, 0.2, 0.2]]], requires_grad=True)
    losses = set_loss(torch.zeros(1, 1, 3), boxes, None, [target([0.4, 0.4, 0.6, 0.6])], 1)
    losses.total().backward()
    assert boxes.grad[0, 0, 0] < 0, "to the right"
    assert boxes.grad[0, 0, 1].item() == pytest.approx(0, abs=1e-4)
