"""The experiments of Rumelhart, Hinton & Williams: their facts, a net that learns, and a short run of the script."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).parent.parent / "examples" / "rumelhart1986.py"


@pytest.fixture(scope="module")
def rumelhart():
    spec = importlib.util.spec_from_file_location(SCRIPT.stem, SCRIPT)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture(scope="module")
def facts(rumelhart):
    return rumelhart.all_facts()


class TestTheFamilyTrees:
    def test_hold_104_facts_of_112_triples(self, facts):
        assert len(facts) == 104
        assert sum(map(len, facts.values())) == 112

    def test_have_every_person_and_relation(self, rumelhart, facts):
        assert len(set(rumelhart.PEOPLE)) == 24
        assert {person for person, _ in facts} == set(rumelhart.PEOPLE)
        assert {relation for _, relation in facts} == set(rumelhart.RELATIONS)

    @pytest.mark.parametrize(
        ("person", "relation", "answer"),
        [
            ("Colin", "aunt", {"Jennifer", "Margaret"}),
            ("Charlotte", "uncle", {"Arthur", "Charles"}),
            ("Colin", "father", {"James"}),
            ("Colin", "mother", {"Victoria"}),
            ("Colin", "sister", {"Charlotte"}),
            ("Arthur", "sister", {"Victoria"}),
            ("Jennifer", "brother", {"James"}),
            ("Charles", "niece", {"Charlotte"}),
            ("Christopher", "son", {"Arthur"}),
            ("Andrew", "daughter", {"Jennifer"}),
            ("Margaret", "husband", {"Arthur"}),
            ("Alfonso", "aunt", {"Angela", "Gina"}),
            ("Sophia", "uncle", {"Emilio", "Tomaso"}),
            ("Maria", "daughter", {"Lucia"}),
            ("Pierro", "son", {"Marco"}),
            ("Angela", "husband", {"Tomaso"}),
        ],
    )
    def test_say(self, facts, person, relation, answer):
        assert facts[person, relation] == answer

    def test_omit_relatives_that_they_do_not_show(self, facts):
        for question in [("Christopher", "father"), ("Margaret", "brother"), ("Charles", "son"), ("Colin", "wife")]:
            assert question not in facts

    def test_are_of_one_shape(self, rumelhart, facts):
        italian = dict(zip(rumelhart.ENGLISH, rumelhart.ITALIAN))
        translated = {
            (italian[person], relation): {italian[name] for name in answer}
            for (person, relation), answer in rumelhart.facts_of(rumelhart.ENGLISH).items()
        }
        assert translated == rumelhart.facts_of(rumelhart.ITALIAN)

    @pytest.mark.parametrize(
        ("relations", "inverses"),
        [
            ({"husband"}, {"wife"}),
            ({"father", "mother"}, {"son", "daughter"}),
            ({"uncle", "aunt"}, {"nephew", "niece"}),
            ({"brother", "sister"}, {"brother", "sister"}),
        ],
    )
    def test_read_the_same_backwards(self, facts, relations, inverses):
        def pairs(of):
            return {(person, name) for (person, relation), names in facts.items() if relation in of for name in names}

        assert pairs(relations) == {(name, person) for person, name in pairs(inverses)}


def test_a_layer_lookup_equals_its_product_with_a_one_hot_input(rumelhart):
    layer = rumelhart.Layer(np.random.default_rng(0), 4, 3)
    np.testing.assert_allclose(layer.one_on([2, 0]).data, layer(np.eye(4)[[2, 0]]).data, rtol=1e-15)


def test_the_symmetry_net_finds_weights_of_1_2_4(rumelhart):
    errors = []
    net, learned = rumelhart.learn_symmetry(seed=1, sweeps=2000, advance=errors.append)
    assert len(errors) == 2000
    assert 100 < learned < 2000
    assert errors[-1] < 0.1 < 1 < errors[0]
    np.testing.assert_allclose(net.ratio(), [1, 2, 4], rtol=0.02)
    w = net.hidden.weight.data
    np.testing.assert_allclose(w, -w[:, ::-1], rtol=0.02)
    np.testing.assert_allclose(w[0], -w[1], rtol=0.02)


def test_the_family_net_lowers_its_error_and_is_asked_four_facts_it_was_not_taught(rumelhart, facts):
    errors = []
    run = rumelhart.learn_families(facts, seed=0, sweeps=30, epsilon=rumelhart.EPSILON, advance=errors.append)
    assert len(errors) == 30
    assert errors[-1] < errors[0] / 2
    assert len(run.held_out) == 4
    assert set(run.held_out) <= set(facts)


def test_a_trait_explains_weights_that_follow_it(rumelhart):
    for trait, groups in rumelhart.TRAITS.items():
        found, share = rumelhart.trait_of(np.array(groups, dtype=float))
        assert (found, share) == (trait, pytest.approx(1))


def test_a_short_run_prints_and_draws_its_results(tmp_path):
    picture = tmp_path / "rumelhart1986.png"
    done = subprocess.run(
        [sys.executable, SCRIPT, "--sweeps", "30", "--seed", "3", "--out", picture],
        capture_output=True, text=True, timeout=120, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "all 64 right after" in done.stdout
    assert "of 20 random starts learned it" in done.stdout
    assert "104 facts" in done.stdout
    assert "right, of 4 held out" in done.stdout
    assert picture.read_bytes().startswith(b"\x89PNG")
