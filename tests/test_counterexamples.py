"""The paper's algorithms 4 to 7 on nets of one input and one or two latent units."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from support.exhaustive import largest_value
from support.networks import relate, unit_box

from smile_sklearn.network import FreeAuxiliary, SMiLENetwork, plan_architecture
from smile_sklearn.network.backbone import MLPBackbone
from smile_sklearn.training.counterexamples import (
    Generator,
    Incumbent,
    IncumbentViolation,
    excess,
    incumbent_violations,
    propagate,
    violation_bound,
)
from smile_sklearn.training.projector import project
from smile_sklearn.training.state import Goal, tighten


def make_network(lower, upper, head, n_outputs=1):
    """One input; lo and hi given as (slopes, offsets); ``head`` (n_outputs, n_latent), bias 7."""
    n_latent = len(lower[0])
    architecture = plan_architecture((), (), unit_box(1), n_outputs=n_outputs, n_latent=n_latent)
    auxiliary = FreeAuxiliary(architecture, hidden=0)
    network = SMiLENetwork(architecture, MLPBackbone(1, (2,), n_latent), auxiliary)
    with torch.no_grad():
        for (layer,), (slopes, offsets) in zip(auxiliary.ends, (lower, upper), strict=True):
            layer.weight.copy_(torch.tensor(slopes)[:, None])
            layer.bias.copy_(torch.tensor(offsets))
        network.raw_head.copy_(torch.tensor(head))
        network.head_bias.fill_(7.0)
    return network


@pytest.fixture
def crossing():
    """lo = x, hi = 1 - x, f = 2 z + 7: open below x = 1/2, flipped above."""
    return make_network(([1.0], [0.0]), ([-1.0], [1.0]), [[2.0]])


def make_goal(delta=1.0, epsilon=0.5, scale=1.0):
    relation = relate(unit_box(1), delta, epsilon)
    return Goal(relation, "box", relation.epsilon_lower / scale, relation.epsilon_upper / scale)


def make_incumbent(first, second, at_upper, margin=0):
    pair = torch.tensor([[first], [second]], dtype=torch.float64)
    return Incumbent(pair, torch.tensor(at_upper).reshape(2, -1), margin)


def make_state(network, goal, scale=1.0):
    options = SimpleNamespace(solver="highs", time_limit=60.0, device="cpu")
    domain = goal.relation.domain
    return SimpleNamespace(
        network=network,
        goals=(goal,),
        options=options,
        counterexamples=[],
        output_scale=scale,
        snapshot=lambda: network.snapshot(domain, output_scale=scale),
    )


def test_ceprop_takes_lo_on_the_index_set_and_hi_elsewhere(crossing):
    # y' = 2 hi(0) = 2, y'' = 2 lo(.25) = .5
    assert propagate(crossing, [make_incumbent(0.0, 0.25, [True, False])]).tolist() == [1.5]
    # y' = 2 lo(0) = 0, y'' = 2 hi(.25) = 1.5
    assert propagate(crossing, [make_incumbent(0.0, 0.25, [False, True])]).tolist() == [-1.5]


def test_ceprop_of_two_units_mixes_the_ends_unit_by_unit():
    network = make_network(([1.0, 0.0], [0.0, 0.0]), ([0.0, 0.0], [3.0, 5.0]), [[1.0, -1.0]])
    incumbent = make_incumbent(0.5, 0.25, [[True, False], [False, True]])
    # (hi_1 - lo_2)(x') - (lo_1 - hi_2)(x'') = (3 - 0) - (.25 - 5)
    assert propagate(network, [incumbent]).tolist() == [7.75]


def test_ceprop_keeps_the_index_sets_frozen_when_the_box_flips(crossing):
    incumbent = make_incumbent(0.0, 0.25, [True, False])
    with torch.no_grad():
        crossing.auxiliary.ends[1][0].bias.fill_(-5.0)
    # Now hi < lo at x' and the box allows lo only; the counterexample still speaks of hi.
    assert propagate(crossing, [incumbent]).tolist() == [2 * -5.0 - 0.5]


def test_ceprop_reads_the_margin_of_several_classes():
    network = make_network(([1.0], [0.0]), ([1.0], [2.0]), [[1.0], [4.0], [0.0]], n_outputs=3)
    flags = [True, False]
    # Margins (0, 1), (0, 2), (1, 2) have the rows -3, 1, 4; z' - z'' = (1 + 2) - 0 = 3.
    incumbents = [make_incumbent(1.0, 0.0, flags, margin) for margin in range(3)]
    assert propagate(network, incumbents).tolist() == [-9.0, 3.0, 12.0]


def test_ceprop_has_a_gradient_in_lo_hi_and_head_only(crossing):
    propagate(crossing, [make_incumbent(0.0, 0.25, [True, False])]).sum().backward()
    lower, upper = (end[0] for end in crossing.auxiliary.ends)
    assert lower.bias.grad.tolist() == [-2.0]
    assert upper.bias.grad.tolist() == [2.0]
    assert crossing.raw_head.grad.tolist() == [[0.75]]
    assert all(parameter.grad is None for parameter in crossing.backbone.parameters())


@pytest.mark.parametrize(
    ("epsilon", "difference", "expected"),
    [
        ((-1.0, 1.0), 1.5, 0.5),
        ((-1.0, 1.0), -1.5, 0.5),
        ((-1.0, 1.0), 0.25, -0.75),
        ((-np.inf, 0.0), -3.0, -3.0),
        ((-0.5, np.inf), -3.0, 2.5),
    ],
)
def test_excess_is_the_worse_side_signed(epsilon, difference, expected):
    goal = make_goal(epsilon=epsilon)
    assert float(excess(goal, torch.tensor(difference, dtype=torch.float64))) == expected


def test_violations_are_zero_without_an_incumbent(crossing):
    goals = [make_goal(epsilon=0.5), make_goal(epsilon=0.25)]
    incumbents = [None, make_incumbent(0.0, 0.25, [True, False])]
    assert incumbent_violations(crossing, goals, incumbents).tolist() == [0.0, 1.25]
    assert incumbent_violations(crossing, goals, [None, None]).tolist() == [0.0, 0.0]


def test_tighten_keeps_a_share_of_epsilon_in_both_units():
    tight = tighten(make_goal(epsilon=(-0.5, 2.0), scale=10.0), 0.1)
    assert (tight.relation.epsilon_lower, tight.relation.epsilon_upper) == pytest.approx((-0.45, 1.8))
    assert (tight.epsilon_lower, tight.epsilon_upper) == pytest.approx((-0.045, 0.18))


def test_tighten_leaves_zero_and_infinity():
    tight = tighten(make_goal(epsilon=(-np.inf, 0.0)), 0.1)
    assert (tight.relation.epsilon_lower, tight.relation.epsilon_upper) == (-np.inf, 0.0)


def test_violation_bound_is_of_the_worst_side_and_of_the_promised_epsilon():
    result = SimpleNamespace(dual_bounds={(0, 1): 3.0, (0, -1): 1.5})
    relation = relate(unit_box(1), 1.0, (-0.25, 2.0))
    assert violation_bound(relation, result) == pytest.approx(1.25, abs=1e-12)


def test_generator_finds_the_worst_pair_and_its_vertices(crossing):
    goal = make_goal(delta=1.0, epsilon=0.5)
    state = make_state(crossing, goal, scale=3.0)
    generator = Generator(state, 64, 64)
    result = generator.search(goal)
    snapshot = state.snapshot()
    truth = largest_value(snapshot, goal.relation, ("box",), snapshot.head_weight[0])
    # 6 (max(x', 1 - x') - x'') is largest at x' = 0 or 1, x'' = 0.
    assert truth == pytest.approx(6.0)
    assert result.value == pytest.approx(truth)
    assert result.bound >= truth - 0.5
    incumbent = generator.incumbent(result)
    assert incumbent.at_upper.tolist() == [[result.first[0] < 0.5], [False]]
    assert propagate(crossing, [incumbent]).tolist() == pytest.approx([2.0])
    (found,) = state.counterexamples
    assert found.name == "relation"
    assert found.violation == pytest.approx(5.5)
    assert goal.relation.contains_exactly(found.first, found.second)
    assert (generator.calls, generator.timeouts) == (1, 0)
    assert generator.seconds > 0


class ScriptedGenerator:
    """Hands out incumbents in order, None for a search without a pair."""

    def __init__(self, incumbents):
        self.incumbents, self.calls = list(incumbents), 0

    @property
    def counters(self):
        return self.calls, 0.0, 0

    def search(self, goal):
        self.calls += 1
        return self.incumbents.pop(0)

    @staticmethod
    def incumbent(result):
        return result


VIOLATING, HARMLESS = ([True, False], [False, False])
"""y' - y'' of 1.5 and -.5, for an epsilon of 1/2: violated by 1, and just met."""


def steps_with_calls(network, script, n_steps, check_every=3, refresh_every=7):
    incumbents = [None if flags is None else make_incumbent(0.0, 0.25, flags) for flags in script]
    generator = ScriptedGenerator(incumbents)
    measure = IncumbentViolation(generator, [make_goal()], check_every, refresh_every)
    steps = []
    for step in range(n_steps):
        before = generator.calls
        measure.before_step(network)
        steps += [step] * (generator.calls - before)
    return steps, measure


def test_an_unresolved_incumbent_is_kept_until_the_refresh(crossing):
    steps, measure = steps_with_calls(crossing, [VIOLATING] * 3, 15)
    assert steps == [0, 7, 14]
    assert measure.resolved(crossing) == [False]
    assert measure.violations(crossing).tolist() == [1.0]


def test_a_resolved_incumbent_is_replaced_at_the_next_check(crossing):
    steps, measure = steps_with_calls(crossing, [HARMLESS] * 4, 10)
    assert steps == [0, 3, 6, 9]
    assert measure.resolved(crossing) == [True]


def test_a_search_without_a_pair_leaves_the_incumbent(crossing):
    _, measure = steps_with_calls(crossing, [VIOLATING, None], 8)
    assert measure.violations(crossing).tolist() == [1.0]


def test_an_incumbent_is_resolved_once_the_network_moves(crossing):
    _, measure = steps_with_calls(crossing, [VIOLATING], 1)
    with torch.no_grad():
        crossing.raw_head.mul_(0.1)
    assert measure.resolved(crossing) == [True]


def test_projector_resolves_with_a_small_step(crossing):
    goal, incumbent = make_goal(epsilon=1.45), make_incumbent(0.0, 0.25, [True, False])
    before = [parameter.detach().clone() for parameter in crossing.parameters()]
    distance, (multiplier,) = project(crossing, [goal], [incumbent])
    assert incumbent_violations(crossing, [goal], [incumbent]).max() <= 0
    assert 0 < distance < 0.01
    assert multiplier > 0
    pairs = zip(crossing.parameters(), before, strict=True)
    moved = sum(float((now - old).detach().square().sum()) for now, old in pairs)
    # Nothing else moved: the backbone has no part in it.
    assert moved == pytest.approx(distance)


def test_projector_leaves_a_network_without_violation_alone(crossing):
    incumbent = make_incumbent(0.0, 0.25, [False, True])
    assert project(crossing, [make_goal(epsilon=2.0)], [incumbent]) == (0.0, (0.0,))
    assert project(crossing, [make_goal(epsilon=2.0)], [None]) == (0.0, (0.0,))
