import pytest

from tune_cl.errors import TuneCLError
from tune_cl.streams import dataset_names, parse_name


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("fashion-b4-t3", [4, 2, 2, 2]),
        ("fashion-b4-t1", [4, 6]),
        ("quickdraw-b50-t5", [50, 10, 10, 10, 10, 10]),
        ("cifar100-b50-t50", [50] + [1] * 50),
        ("cifar10-b1-t9", [1] * 10),
        ("cub200-b100-t10", [100] + [10] * 10),
        ("imagenet100-b50-t10", [50] + [5] * 10),
        ("imagenet-b500-t5", [500] + [100] * 5),
    ],
)
def test_name_says_how_classes_arrive(name: str, sizes: list[int]) -> None:
    shape = parse_name(name)
    ranges = [shape.classes(t) for t in range(shape.increments + 1)]
    assert [len(r) for r in ranges] == sizes
    assert [c for r in ranges for c in r] == list(range(shape.dataset.n_classes))


def test_increments_beyond_the_horizon_do_not_exist() -> None:
    shape = parse_name("fashion-b4-t3")
    for t in (-1, 4):
        with pytest.raises(IndexError, match="increments 0 to 3"):
            shape.classes(t)


def test_scale_is_known_without_data() -> None:
    assert {name: parse_name(f"{name}-b5-t5").dataset.scale for name in dataset_names()} == {
        "cifar10": "cifar",
        "cifar100": "cifar",
        "cub200": "cub",
        "fashion": "small28",
        "imagenet": "imagenet",
        "imagenet100": "imagenet",
        "quickdraw": "small28",
    }


@pytest.mark.parametrize(
    "name", ["fashion", "fashion-4-3", "fashion-b4", "fashion-b4-t3-x", "fashion-b04-t3", "fashion-b-4-t3", "", "b4-t3"]
)
def test_malformed_name_is_told_the_form(name: str) -> None:
    with pytest.raises(TuneCLError, match=r"DATASET-b<base classes>-t<increments>.*fashion-b4-t3") as caught:
        parse_name(name)
    assert repr(name) in str(caught.value)


def test_unknown_data_set_gets_a_near_match() -> None:
    with pytest.raises(
        TuneCLError, match=r"data set 'fasion' is unknown; .*'cifar10', 'cifar100'.*; did you mean 'fashion'\?"
    ):
        parse_name("fasion-b4-t3")
    with pytest.raises(TuneCLError, match=r"data set 'imagenet10' is unknown; .*did you mean 'imagenet100'"):
        parse_name("imagenet10-b50-t5")


def test_near_match_is_offered_for_a_malformed_name_too() -> None:
    with pytest.raises(TuneCLError, match=r"did you mean 'quickdraw'\?"):
        parse_name("quikdraw-50-5")


def test_uneven_increments_are_told_which_are_possible() -> None:
    with pytest.raises(TuneCLError, match=r"6 classes after the base.*4 equal.*with b4 .*: t1, t2, t3, t6$"):
        parse_name("fashion-b4-t4")
    with pytest.raises(TuneCLError, match=r"0 equal increments.*t1, t2, t3, t6$"):
        parse_name("fashion-b4-t0")


@pytest.mark.parametrize("base", [0, 10, 11, 5000])
def test_base_that_leaves_nothing_is_refused(base: int) -> None:
    with pytest.raises(TuneCLError, match=rf"b{base} is impossible.*10 classes.*b1 to b9"):
        parse_name(f"fashion-b{base}-t1")
