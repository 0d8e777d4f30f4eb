"""A folder of images becomes a checked data set."""

from PIL import Image

from pipelines.data.loading import load_dataset
from tests.support.data_files import assert_refused, images, paint


def test_a_folder_with_train_and_test_has_its_own_test_set(folder):
    dataset = load_dataset(images(folder))
    assert dataset.x.shape == (8, 3, 3, 4)
    assert dataset.x[:, 0, 0, 0].tolist() == [10, 20, 30, 10, 20, 30, 40, 40]
    assert dataset.x[:, 1, 2, 3].tolist() == [0] * 3 + [100] * 3 + [0, 100]
    assert dataset.observed.tolist() == [0, 0, 0, 1, 1, 1, 0, 1]
    assert dataset.test is not None
    assert dataset.test.tolist() == [False] * 6 + [True] * 2
    assert dataset.classes == ["a", "b"]
    assert dataset.names[0] == "train/a/0.png"


def test_a_folder_of_classes_has_no_test_set_and_hidden_files_are_left_out(folder):
    (folder / "train" / "a" / "readme.txt").write_text("no image")
    paint(folder / "train" / "a" / "._0.png", 0)
    paint(folder / "train" / ".trash" / "0.png", 0)
    paint(folder / "train" / "b" / "deeper" / "9.png", (9, 9, 9))
    dataset = load_dataset(images(folder / "train"))
    assert dataset.test is None
    assert dataset.names == [*(f"{c}/{n}.png" for c in "ab" for n in range(3)), "b/deeper/9.png"]


def test_grey_images_have_one_channel_unless_some_are_coloured(tmp_path):
    root = tmp_path / "grey"
    for name in "ab":
        paint(root / name / "0.png", 77, "L")
    assert load_dataset(images(root)).x[:, :, 0, 0].tolist() == [[77]] * 2
    paint(root / "a" / "1.png", (1, 2, 3))
    assert load_dataset(images(root)).x[:, :, 0, 0].tolist() == [[77] * 3, [1, 2, 3], [77] * 3]


def test_images_of_different_sizes_need_data_size(folder):
    paint(folder / "train" / "b" / "odd.png", (5, 5, 5), size=(9, 9))
    assert_refused(images(folder), r"odd.png: is \(9, 9\), 0.png is \(4, 3\); set data.size")
    dataset = load_dataset(images(folder, size=6))
    assert dataset.x.shape == (9, 3, 6, 6)
    assert (dataset.x[dataset.names.index("train/b/odd.png")] == 5).all()


def test_a_folder_that_cannot_be_used_is_refused(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    assert_refused(images(tmp_path / "empty"), "holds no images in folders")
    (folder / "train" / "c").mkdir()
    assert_refused(images(folder), "train/c: holds no images")
    (folder / "train" / "c").rmdir()
    paint(folder / "test" / "z" / "0.png", (0, 0, 0))
    assert_refused(images(folder), "label 'z': allowed are a, b")
    (folder / "train" / "a" / "0.png").write_bytes(b"nonsense")
    assert_refused(images(folder), "a/0.png: cannot be read as an image")
    (folder / "test").rename(folder / "val")
    assert_refused(images(folder), "has train/, but not both train/ and test/")


def test_16_bit_and_truncated_images_are_refused(folder):
    paint(folder / "train" / "a" / "deep.png", 70_00, "I;16")
    assert_refused(images(folder), "deep.png: has mode I;16: images must have 8 bits")
    (folder / "train" / "a" / "deep.png").unlink()
    whole = folder / "train" / "a" / "0.png"
    Image.effect_noise((64, 64), 50).convert("RGB").save(whole)
    whole.write_bytes(whole.read_bytes()[:1000])
    assert_refused(images(folder, size=4), "a/0.png: cannot be decoded")
