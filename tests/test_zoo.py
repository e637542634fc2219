"Every checkpoint that ships can be loaded, keeps what its card promises, and all of them together are small."
import pytest
from genda.core import PACKAGE
from genda.data import ready
from genda.zoo import ENTRIES, load_model, recheck

SHIPPED = sorted(p.stem for p in (PACKAGE/'weights').glob('*.safetensors'))

def test_each_file_is_an_entry_and_has_a_card():
    assert {'digits', 'judge_mnist', 'judge_mnistm'} <= set(SHIPPED) <= set(ENTRIES)
    assert sorted(p.stem for p in (PACKAGE/'weights').glob('*.json')) == SHIPPED

def test_all_weights_together_are_small():
    assert sum(p.stat().st_size for p in (PACKAGE/'weights').iterdir()) < 20e6

def test_digits_are_small_and_know_no_class():
    model, card = load_model('digits', device='cpu')
    assert sum(p.numel() for p in model.parameters()) <= 1_000_000
    assert (PACKAGE/'weights'/'digits.safetensors').stat().st_size <= 2_000_000
    assert model.cond.classes == 10 and card['recipe']['drop'] > 0, 'the null condition was trained'
    assert {'net', 'process', 'predict', 'data', 'images', 'seconds', 'processor', 'sampler', 'licence', 'source', 'figures'} <= set(card)

@pytest.mark.parametrize('name', SHIPPED)
def test_figures_hold(name):
    if name == 'judge_mnistm' and not ready('mnist'): pytest.skip('its figure is of all MNIST over the BSDS500 photographs')
    found = recheck(name, 200)
    assert len(found) and found.holds.all(), found.to_string()
