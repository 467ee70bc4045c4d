import numpy as np
import pandas as pd
import pytest
import torch

from liftnet.core.errors import LiftnetError
from liftnet.depth.augment import Augmentation, draw_changes
from liftnet.depth.objectives import TrainingInputs, load_training_data
from liftnet.depth.objectives.ordinal import PointPair, draw_relations, in_crop, ordinal_loss, read_diw
from liftnet.depth.settings import TrainSettings
from liftnet.depth.train import train
from liftnet.models.depth_input import CropBox

TINY = {
    "input": {"image_size": 32},
    "network": {"levels": 3, "width": 8},
    "batch_size": 4,
    "validate_every": 4,
    "iterations": 8,
}
ORDINAL = TrainSettings(**TINY, method="ordinal")
DIW = "./DIW_train_val/a.thumb\n31,41,11,21,>,64,48\n./DIW_train_val/b.thumb\n1,2,30,40,<,64,48\n"


def sources(root, model, targets=None, seed=0):
    return TrainingInputs(root, root / "dataset", targets or root / "museum", model, 1, seed)


def test_the_loss_of_each_relation_and_its_gradient():
    a = torch.tensor([0.3, 0.3, 0.3, 40.0], dtype=torch.float64, requires_grad=True)
    b = torch.tensor([0.1, 0.1, 0.1, -60.0], dtype=torch.float64, requires_grad=True)
    relation = torch.tensor([1.0, -1.0, 0.0, -1.0], dtype=torch.float64)
    expected = [np.log1p(np.exp(-0.2)), np.log1p(np.exp(0.2)), 0.04, 100.0]
    np.testing.assert_allclose(ordinal_loss(a, b, relation).detach().numpy(), expected)
    assert torch.autograd.gradcheck(lambda x, y: ordinal_loss(x, y, relation), (a, b))


def test_relations_are_those_of_the_depths():
    rng = np.random.default_rng(0)
    depth = rng.uniform(2.6, 2.9, (20, 20)).astype(np.float32)
    depth[:5] = np.nan
    depth[5, 0] = -1  # no depth at all
    drawn = draw_relations(depth, 500, 0.02, np.random.default_rng(1))
    assert len(drawn.relation) > 490
    seen = set()
    for (a, b), relation in zip(drawn.points.astype(int), drawn.relation, strict=True):
        z_a, z_b = depth[a[1], a[0]], depth[b[1], b[0]]
        assert z_a > 0
        assert z_b > 0
        assert (a != b).any()
        assert relation == (1 if z_a > 1.02 * z_b else -1 if z_b > 1.02 * z_a else 0)
        seen.add(relation)
    assert seen == {-1, 0, 1}
    assert len(draw_relations(np.full((4, 4), np.nan, np.float32), 5, 0.02, rng).relation) == 0


def test_pairs_of_points_follow_their_image_s_changes(run_folder, tmp_path):
    """The relation seen in the changed true depth at the moved points is the one that was drawn."""
    data = load_training_data(sources(run_folder, tmp_path), ORDINAL)
    objective = data.train
    batch = objective.batch(np.array([[0, 0], [4, 0], [8, 0]]), seed=3)
    assert 95 <= batch.targets.shape[1] <= 100
    again = objective.batch(np.array([[4, 0]]), seed=8)
    n = again.relations.shape[1]
    assert torch.equal(batch.targets[1, :n], again.targets[0])  # the same points in every epoch
    changed = batch._replace(changes=draw_changes(Augmentation(True, 20.0, 0.1), 3, np.random.default_rng(0)))

    class Perfect(torch.nn.Module):
        """Depth that is the red channel."""

        def forward(self, images):
            return images[:, 0]

    y, x = np.indices((32, 32)) / 31
    depth = (0.8 * x + 0.4 * y * y).astype(np.float32)
    drawn = draw_relations(depth + 1, 99, 0.05, np.random.default_rng(2))
    images = torch.from_numpy((depth * 200).astype(np.uint8))[None, ..., None].expand(3, 32, 32, 3)
    targets = torch.from_numpy(drawn.points)[None].expand(3, -1, 2, 2)
    relations = torch.from_numpy(drawn.relation)[None].expand(3, -1).clone()
    relations[0, 50:] = torch.nan
    terms = objective.terms(
        {"depth": Perfect()}, changed._replace(images=images, targets=targets, relations=relations), None
    )
    assert (terms["in_order"] > 0.97).all()
    assert terms["point_pairs"][0] <= 50 < terms["point_pairs"][1] <= len(drawn.relation)


@pytest.mark.slow
def test_ordinal_training_puts_points_in_order_and_resumes(run_folder, tmp_path, monkeypatch):
    from liftnet.learn import loop

    own = {"iterations": 100, "validate_every": 50, "optimiser": {"learning_rate": 0.005}}
    settings = TrainSettings(**TINY | own, method="ordinal", augment={"colour_jitter": 0.0})
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    train(sources(run_folder, whole), whole, settings)
    metrics = pd.read_csv(whole / "metrics.csv")
    assert metrics["in_order"].iloc[-1] > 0.8
    step = loop.train_step

    def stop(run, batch):
        if run.state.step == 60:
            raise KeyboardInterrupt
        return step(run, batch)

    monkeypatch.setattr(loop, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    monkeypatch.setattr(loop, "train_step", stop)
    with pytest.raises(KeyboardInterrupt):
        train(sources(run_folder, stopped), stopped, settings)
    monkeypatch.setattr(loop, "train_step", step)
    train(sources(run_folder, stopped), stopped, settings)
    assert (stopped / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


def test_depth_in_the_wild_is_read_as_published(tmp_path):
    path = tmp_path / "DIW_train.csv"
    path.write_text(DIW)
    first, second = read_diw(path)
    assert first == PointPair("./DIW_train_val/a.thumb", ((40, 30), (20, 10)), 1, (64, 48))
    assert second.relation == -1
    assert second.points == ((1, 0), (39, 29))


@pytest.mark.parametrize(
    "text",
    ["", "a.thumb\n", "a.thumb\n1,2,3,4,=,64,48\n", "a.thumb\n1,2,3,4,>\n", "a.thumb\n1,x,3,4,>,64,48\n"],
)
def test_a_file_in_another_form_is_named(tmp_path, text):
    path = tmp_path / "DIW_train.csv"
    path.write_text(text)
    with pytest.raises(LiftnetError, match=r"DIW_train\.csv.*two lines an image"):
        read_diw(path)


def test_annotations_of_a_larger_image_land_on_the_same_spot_of_the_crop():
    box = CropBox(10, 5, 40)
    pair = PointPair("a", ((39.5, 29.5), (63.5, 51.5)), 1, (128, 96))  # of an image stored at 64x48
    outside = PointPair("a", ((0, 0), (63.5, 51.5)), 1, (128, 96))
    points, relation = in_crop([pair, outside], (64, 48), box, 40)
    np.testing.assert_allclose(points, [[[9.5, 9.5], [21.5, 20.5]]])
    assert relation.tolist() == [1]


def test_ordinal_training_from_annotations_of_the_run_s_images(run_folder, run_views, tmp_path):
    lines = []
    for view in run_views:
        if view.split != "test":
            rows, columns = np.nonzero(view.truth.mask)
            near, far = np.argmin(view.truth.depth[rows, columns]), np.argmax(view.truth.depth[rows, columns])
            a, b = (f"{rows[k] + 1},{columns[k] + 1}" for k in (far, near))
            lines += [f"./somewhere/{view.image_id}.thumb", f"{a},{b},>,96,96"]
    path = tmp_path / "DIW_train.csv"
    path.write_text("\n".join([*lines, "./somewhere/unknown.thumb", "1,1,2,2,<,96,96"]) + "\n")
    data = load_training_data(sources(run_folder, tmp_path, path), ORDINAL)
    assert len(data.train.items) == 9
    batch = data.val.batch(np.array([[0, 0]]), 0)
    assert batch.relations.tolist() == [[1.0]]
    train(sources(run_folder, tmp_path / "model", path), tmp_path / "model", ORDINAL)
    assert (tmp_path / "model" / "model.safetensors").exists()
