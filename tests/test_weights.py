"Weights whose file or card is damaged are refused, with the reason."

import pytest
from torch import nn

from genda.training.checkpoints import load_weights, save_weights


@pytest.fixture
def tiny(tmp_path):
    return save_weights(nn.Conv2d(1, 4, 3), "tiny", dict(data="none"), folder=tmp_path)


def test_an_exchanged_byte_is_noticed(tiny):
    content = tiny.read_bytes()
    tiny.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ValueError, match="sha256 differs"):
        load_weights("tiny", tiny.parent)


@pytest.mark.parametrize(
    "card, said",
    [("[1]", "damaged"), ('{"format": 1}', "sha256 differs"), ('{"format": 2}', "format 2")],
)
def test_a_damaged_card_is_refused(tiny, card, said):
    tiny.with_suffix(".json").write_text(card)
    with pytest.raises(ValueError, match=said):
        load_weights("tiny", tiny.parent)


def test_a_missing_card_is_refused(tiny):
    tiny.with_suffix(".json").unlink()
    with pytest.raises(ValueError, match="missing or damaged"):
        load_weights("tiny", tiny.parent)


def test_half_weights_come_back_in_float32(tmp_path):
    net = nn.BatchNorm2d(3)
    save_weights(net, "half", {}, folder=tmp_path, half=True)
    state, _ = load_weights("half", tmp_path)
    assert {k: v.dtype for k, v in state.items()} == {
        k: v.dtype for k, v in net.state_dict().items()
    }
    assert sorted(p.name for p in tmp_path.iterdir()) == ["half.json", "half.safetensors"]
