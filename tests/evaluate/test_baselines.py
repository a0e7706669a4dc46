"""PCA with nearest neighbour and SVM, out of fold."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from lmtcnn.core.errors import DataError
from lmtcnn.core.sections import EvaluateParams
from lmtcnn.evaluate.baselines import folds, inner_products, label, prepare
from lmtcnn.histograms.shares import shares
from lmtcnn.train.model import Samples

PARAMS = EvaluateParams(
    still_falling=0.05,
    pca_components=3,
    neighbours=1,
    svm_kernel="rbf",
    svm_c=1.0,
    smoothing_tiles=1.5,
    permutations_cheap=99,
    permutation_seed=0,
    permutations=0,
    matches_within=0.05,
)


def fit_predict(stacks, classes, cages, params) -> dict[str, np.ndarray]:
    """Labels of the paper's two methods on stacks, as names; classes are numbered by the alphabet."""
    names = np.unique(classes)
    labels = np.searchsorted(names, classes)[None]
    return {name: names[codes[0]] for name, codes in label(of_stacks(stacks, cages, params), labels, params).items()}


def of_stacks(stacks, cages, params=PARAMS):
    return {"": folds(inner_products(stacks), cages, params)}


def cohort(distance: float, cages: int = 6, seed: int = 0) -> tuple[np.ndarray, list[str], list[str]]:
    """Four mice a cage, two classes in each cage; class b has `distance` more stops in one tile of every interval."""
    rng = np.random.default_rng(seed)
    classes = ["a", "a", "b", "b"] * cages
    stacks = rng.normal(size=(len(classes), 2, 4, 4))
    stacks[np.asarray(classes) == "b", :, 1, 2] += distance
    return stacks, classes, [f"cage{i // 4}" for i in range(len(classes))]


def accuracy(predicted: np.ndarray, classes: list[str]) -> float:
    return float(np.mean(predicted == np.asarray(classes)))


def test_classes_far_apart_are_told_without_error():
    stacks, classes, cages = cohort(30.0)
    predicted = fit_predict(stacks, classes, cages, PARAMS)
    assert {name: accuracy(labels, classes) for name, labels in predicted.items()} == {"knn": 1.0, "svm": 1.0}


def test_a_cage_is_labelled_without_its_own_labels():
    stacks, classes, cages = cohort(1.0)
    before = fit_predict(stacks, classes, cages, PARAMS)
    swapped = ["b" if name == "a" else "a" for name in classes[:4]] + classes[4:]
    after = fit_predict(stacks, swapped, cages, PARAMS)
    for name in ("knn", "svm"):
        assert list(before[name][:4]) == list(after[name][:4])


def test_components_fitted_without_the_held_out_cage_ignore_what_only_it_does():
    """Each mouse of the first cage has a tile of its own, empty in all others, with a million stops. Components that
    had seen the cage would be those tiles and lose the classes; components of the other cages do not see them."""
    stacks, classes, cages = cohort(30.0)
    stacks[:, 0, 0, :] = 0
    stacks[range(4), 0, 0, range(4)] = 1e6
    predicted = fit_predict(stacks, classes, cages, PARAMS)
    for name in ("knn", "svm"):
        assert list(predicted[name][:4]) == classes[:4]


def test_copies_of_one_mouse_in_one_cage_do_not_find_each_other():
    """Mice known by cage alone: the nearest neighbour would be perfect if the cage were not held out."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(2, 1, 3, 3)) * 10
    stacks = np.concatenate([np.repeat(centres[[i]], 4, axis=0) for i in (0, 1)])
    predicted = fit_predict(stacks, ["a"] * 4 + ["b"] * 4, ["one"] * 4 + ["two"] * 4, PARAMS)
    assert list(predicted["knn"]) == ["b"] * 4 + ["a"] * 4
    assert list(predicted["svm"]) == ["b"] * 4 + ["a"] * 4


@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_the_labels_are_those_of_pca_on_the_flattened_stacks(scale):
    """The inner products give what a decomposition of the flattened stacks gives, at the border of two classes too."""
    stacks, classes, cages = cohort(2.0, cages=10)
    stacks = stacks * scale + 50 * scale
    x, actual, cage = stacks.reshape(len(stacks), -1), np.asarray(classes), np.asarray(cages)
    expected = {"knn": np.empty_like(actual), "svm": np.empty_like(actual)}
    for held_out in np.unique(cage):
        test = cage == held_out
        for name, model in {"knn": KNeighborsClassifier(1), "svm": SVC(kernel="rbf", C=1.0)}.items():
            pipeline = make_pipeline(PCA(3, svd_solver="full"), model).fit(x[~test], actual[~test])
            expected[name][test] = pipeline.predict(x[test])
    predicted = fit_predict(stacks, classes, cages, PARAMS)
    for name in ("knn", "svm"):
        assert 0.4 < accuracy(expected[name], classes) < 1
        assert list(predicted[name]) == list(expected[name])


@pytest.mark.parametrize(
    "changes", [{}, {"svm_kernel": "linear"}, {"svm_kernel": "poly", "svm_c": 10.0}, {"neighbours": 4}]
)
def test_many_arrangements_at_once_are_labelled_as_one_by_one_in_scikit_learn(changes):
    """To the sample, also where votes are close: 30 arrangements of four classes, some of them lacking in a fold."""
    params = PARAMS.model_copy(update=changes)
    stacks, _, cages = cohort(1.0, cages=5)
    rng = np.random.default_rng(1)
    labels = np.array([rng.permutation([0, 1, 2, 3, 3] * 4) for _ in range(30)])
    labels[7], labels[8, 4:] = 0, 1
    found = label(of_stacks(stacks, cages, params), labels, params)
    x, cage = stacks.reshape(len(stacks), -1), np.asarray(cages)
    for held_out in np.unique(cage):
        test = cage == held_out
        pca = PCA(3, svd_solver="full").fit(x[~test])
        train, other = pca.transform(x[~test]), pca.transform(x[test])
        for row, known in enumerate(labels[:, ~test]):
            knn = KNeighborsClassifier(params.neighbours, algorithm="brute").fit(train, known)
            assert list(found["knn"][row, test]) == list(knn.predict(other))
            if len(set(known)) > 1:
                svm = SVC(kernel=params.svm_kernel, C=params.svm_c).fit(train, known)
                assert list(found["svm"][row, test]) == list(svm.predict(other))
            else:
                assert set(found["svm"][row, test]) == {known[0]}


def test_occupancy_sees_where_and_not_when():
    rng = np.random.default_rng(0)
    counts = rng.poisson(3.0, (24, 4, 6, 6))
    labels, cages = np.array([[0, 0, 1, 1] * 6]), [f"c{i // 4}" for i in range(24)]
    counts[labels[0] == 1, :, 2, 2] += 20
    counts[labels[0] == 1, :, 2, 3] += 20
    shuffled = np.stack([stack[rng.permutation(4)] for stack in counts])
    found, again = (label(prepare(each, each, cages, PARAMS), labels, PARAMS) for each in (counts, shuffled))
    assert set(found) == {"knn", "svm", "occupancy_knn", "occupancy_svm"}
    for name in ("occupancy_knn", "occupancy_svm"):
        assert (found[name] == again[name]).all()
        assert (found[name] == labels).all()


def test_occupancy_is_pca_of_smoothed_shares():
    counts = np.random.default_rng(2).poisson(2.0, (24, 3, 6, 6))
    cages = [f"c{i // 4}" for i in range(24)]
    made = prepare(counts, counts, cages, PARAMS)["occupancy_"][0]
    x = shares(counts, 1.5).reshape(24, -1)
    expected = PCA(3, svd_solver="full").fit(x[4:]).transform(x)
    np.testing.assert_allclose(np.abs(made.scores), np.abs(expected[4:]), atol=1e-9)
    np.testing.assert_allclose(np.abs(made.held_out_scores), np.abs(expected[:4]), atol=1e-9)


# ---- Leaks -----------------------------------------------------------------------------------------------------------


def test_what_a_held_out_cage_did_changes_nothing_that_its_fold_was_fitted_to():
    """Components or scalings of all samples would move when only the held-out cage's samples do."""
    rng = np.random.default_rng(3)
    counts = rng.poisson(4.0, (24, 3, 6, 6))
    cages = [f"c{i // 4}" for i in range(24)]
    changed = counts.copy()
    changed[:4] = rng.poisson(40.0, (4, 3, 6, 6))
    before, after = (prepare(each, each, cages, PARAMS) for each in (counts, changed))
    for begin in ("", "occupancy_"):
        np.testing.assert_array_equal(before[begin][0].scores, after[begin][0].scores)
        assert not np.allclose(before[begin][0].held_out_scores, after[begin][0].held_out_scores)
        assert not np.allclose(before[begin][1].scores, after[begin][1].scores)  # where it is one of the training cages


@pytest.mark.parametrize("leaky", [False, True])
def test_components_or_a_scaling_of_all_samples_would_be_seen(leaky: bool):
    """By scikit-learn: fitted to all samples, the training samples of a fold move with the held-out ones alone."""
    rng = np.random.default_rng(3)
    counts = rng.poisson(4.0, (24, 3, 6, 6)).reshape(24, -1).astype(float)
    changed = counts.copy()
    changed[:4] = rng.poisson(40.0, changed[:4].shape)
    cages = [f"c{i // 4}" for i in range(24)]
    moved = [PCA(3).fit(each if leaky else each[4:]).transform(each[4:]) for each in (counts, changed)]
    assert np.allclose(*moved) is not leaky
    ours = prepare(counts.reshape(24, 3, 6, 6), counts.reshape(24, 3, 6, 6), cages, PARAMS)[""][0].scores
    assert np.allclose(np.abs(ours), np.abs(moved[0]), atol=1e-6) is not leaky


def test_a_held_out_sample_has_no_neighbour_in_its_own_cage():
    """Samples of a cage are copies of each other: found, they would be the nearest."""
    counts = np.repeat(np.random.default_rng(4).poisson(5.0, (6, 2, 5, 5)), 4, axis=0)
    cages = np.array([f"c{i // 4}" for i in range(24)])
    for every in prepare(counts, counts, cages.tolist(), PARAMS).values():
        for fold in every:
            held_out = set(cages[fold.held_out])
            assert len(held_out) == 1
            assert not held_out & set(cages[~fold.held_out][fold.neighbours].ravel())


def test_the_same_data_give_the_same_labels():
    stacks, classes, cages = cohort(0.5)
    first, second = (fit_predict(stacks, classes, cages, PARAMS) for _ in range(2))
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_fewer_training_samples_than_components_and_neighbours_are_used_whole():
    stacks = np.array([0.0, 10.0, 1.0, 11.0]).reshape(4, 1, 1, 1) * np.ones((1, 1, 2, 2))
    params = PARAMS.model_copy(update={"pca_components": 50, "neighbours": 1})
    predicted = fit_predict(stacks, ["a", "b", "a", "b"], ["one", "one", "two", "two"], params)
    assert list(predicted["knn"]) == ["a", "b", "a", "b"]
    assert list(predicted["svm"]) == ["a", "b", "a", "b"]
    everyone = params.model_copy(update={"neighbours": 99})
    assert list(fit_predict(stacks, ["a", "b", "a", "b"], ["one", "one", "two", "two"], everyone)["knn"]) == ["a"] * 4


def test_one_cage_alone_is_refused():
    with pytest.raises(DataError) as caught:
        fit_predict(np.zeros((2, 1, 2, 2)), ["a", "b"], ["one", "one"], PARAMS)
    assert str(caught.value) == "the samples: expected two cages or more, found 1; add recordings of other cages"


def test_many_samples_get_the_labels_of_pca_too():
    """More than 200, where only the wanted components are sought; held against the plain decomposition."""
    stacks, classes, cages = cohort(2.0, cages=60)
    x, actual, cage = stacks.reshape(len(stacks), -1), np.asarray(classes), np.asarray(cages)
    predicted = fit_predict(stacks, classes, cages, PARAMS)
    for held_out in np.unique(cage)[::6]:
        test = cage == held_out
        for name, model in {"knn": KNeighborsClassifier(1), "svm": SVC(kernel="rbf", C=1.0)}.items():
            pipeline = make_pipeline(PCA(3, svd_solver="full"), model).fit(x[~test], actual[~test])
            assert list(predicted[name][test]) == list(pipeline.predict(x[test]))


def test_many_samples_that_are_all_alike_are_labelled_too():
    many = fit_predict(np.ones((630, 1, 2, 2)), ["a", "b"] * 315, [f"c{i // 210}" for i in range(630)], PARAMS)
    assert {frozenset(labels.tolist()) for labels in many.values()} <= {frozenset("a"), frozenset("b")}


def test_samples_of_a_file_are_read_an_interval_at_a_time(tmp_path):
    """Counts as they lie on disk, transformed on the way: the labels of the transformed stacks."""
    stacks, classes, cages = cohort(2.0)
    counts = np.round(stacks * 3 + 20).clip(0).astype(np.uint16)
    np.save(tmp_path / "stacks.npy", counts)
    samples = Samples(np.load(tmp_path / "stacks.npy", mmap_mode="r"), "sqrt", torch.device("cpu"))
    found = fit_predict(samples, classes, cages, PARAMS)
    expected = fit_predict(np.sqrt(counts.astype(np.float32)), classes, cages, PARAMS)
    assert {name: list(labels) for name, labels in found.items()} == {n: list(p) for n, p in expected.items()}
