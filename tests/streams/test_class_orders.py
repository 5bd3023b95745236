import hashlib
import json
from collections import Counter

import pytest

from tune_cl.errors import TuneCLError
from tune_cl.records import StreamRecord
from tune_cl.streams import class_order, open_stream


@pytest.mark.parametrize(("n", "start"), [(100, "e90204efdce7db6c"), (1000, "1184d882ffd7c9e3")])
def test_numpy_1993_is_the_published_order(n: int, start: str) -> None:
    order = class_order("numpy-1993", n, seed=0)
    assert hashlib.sha256(json.dumps(list(order)).encode()).hexdigest()[:16] == start
    if n == 100:
        assert order[:5] == (68, 56, 78, 8, 23)


def test_podnets_order_is_of_cifar100_alone() -> None:
    order = class_order("podnet", 100, seed=0)
    assert order[:5] == (87, 0, 52, 58, 44) and sorted(order) == list(range(100))
    assert hashlib.sha256(json.dumps(list(order)).encode()).hexdigest()[:16] == "6d53568230308dde"
    with pytest.raises(TuneCLError, match=r"class_order 'podnet': orders CIFAR-100's 100 labels, but here are 10"):
        class_order("podnet", 10, seed=0)
    with pytest.raises(TuneCLError, match=r"orders the labels of cifar100, not those of quickdraw"):
        open_stream(StreamRecord(name="quickdraw-b50-t5", class_order="podnet"))


def test_numpy_1993_does_not_heed_the_order_seed() -> None:
    assert class_order("numpy-1993", 100, seed=0) == class_order("numpy-1993", 100, seed=1)


def test_seeded_order_is_fixed_for_ever() -> None:
    # Stage keys hold class lists, results are quoted by order seed: a change here breaks both.
    assert class_order("seed", 10, seed=0) == (6, 7, 1, 2, 4, 5, 3, 8, 9, 0)


def test_seeded_orders_are_permutations_and_differ_between_seeds() -> None:
    orders = [class_order("seed", 100, seed) for seed in range(50)]
    assert all(sorted(order) == list(range(100)) for order in orders)
    assert len(set(orders)) == 50


def test_seeded_orders_are_uniform_in_first_place() -> None:
    firsts = Counter(class_order("seed", 10, seed)[0] for seed in range(2000))
    deviation = (2000 * 0.1 * 0.9) ** 0.5
    assert all(abs(firsts[label] - 200) < 5 * deviation for label in range(10))


def test_given_order_is_kept() -> None:
    given = (3, 1, 4, 0, 5, 9, 2, 6, 8, 7)
    assert class_order(given, 10, seed=5) == given


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ((0, 1, 2, 3, 4, 5, 6, 7, 8), "left out: 9"),
        ((0, 0, 2, 3, 4, 5, 6, 7, 8, 9), "given twice: 0; left out: 1"),
        ((10, 1, 2, 3, 4, 5, 6, 7, 8, 9), "not labels of it: 10; left out: 0"),
        ((0, 1), "left out: 2, 3, 4, 5, 6 and 3 more"),
    ],
)
def test_given_order_must_hold_each_label_once(given: tuple[int, ...], complaint: str) -> None:
    with pytest.raises(TuneCLError, match=r"class_order: the 10 labels 0 to 9 must each come once") as caught:
        class_order(given, 10, seed=0)
    assert complaint in str(caught.value)
