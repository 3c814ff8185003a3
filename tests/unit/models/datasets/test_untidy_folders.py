"""Folders as people have them: other spellings, broken files, values that cannot be meant."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.contract import FindingKind
from models.datasets.dicom import read_dicom
from models.datasets.folders import UnknownLayoutError, read_contents, read_folder
from models.datasets.pictures import read_levels
from models.datasets.splits import hold_out
from models.datasets.tables import DataSetError, read_table
from phantoms.dataset import read_truth
from phantoms.study import StudyOptions, write_study
from tests.unit.models.datasets.lookalikes import breast, mask, write_dicom, write_picture

RSNA = "file,patient_id,cancer,biopsy\n"
MIAS = "file,abnormality,severity,x_from_left_px,y_from_top_px,radius_px\n"


def write_mask(path: Path, shape: tuple[int, int] = (100, 80), level: int = 255) -> None:
    canvas = np.zeros(shape, np.uint8)
    canvas[30:40, 20:26] = level
    cv2.imwrite(str(path), canvas)


def reasons(folder: Path) -> dict[str, str]:
    return {entry.name: entry.reason for entry in read_contents(folder).left_out}


def test_busi_in_other_spellings(tmp_path: Path) -> None:
    """Capitals in names of folders and endings; what a system hides is no picture."""
    write_picture(tmp_path / "Benign" / "benign (1).PNG")
    write_mask(tmp_path / "Benign" / "benign (1)_mask.png")
    (tmp_path / "Benign" / "._benign (1).png").write_bytes(b"\0\5")
    (tmp_path / "Benign" / "Thumbs.db").write_bytes(b"x")
    contents = read_contents(tmp_path)
    (case,) = contents.cases
    assert (case.truth.label, len(case.truth.lesions or ())) == ("benign", 1)
    assert contents.left_out == []


@pytest.mark.parametrize(
    ("label", "shape", "level", "reason"),
    [
        ("benign", (100, 80), 0, "an empty mask of an image with a lesion"),
        ("benign", (50, 80), 255, "a mask of another size than its image"),
        ("normal", (100, 80), 255, "a lesion drawn on a normal image"),
    ],
)
def test_a_mask_that_tells_nothing_makes_lesions_unknown(
    tmp_path: Path, label: str, shape: tuple[int, int], level: int, reason: str
) -> None:
    """Empty, of another size, on a normal image: told, and the lesions are unknown, not absent."""
    write_picture(tmp_path / label / "x.png")
    write_mask(tmp_path / label / "x_mask.png", shape, level)
    assert reasons(tmp_path) == {f"{label}/x_mask.png": reason}
    (case,) = read_folder(tmp_path)
    assert (case.truth.label, case.truth.lesions) == (label, None)


def test_broken_and_lonely_masks(tmp_path: Path) -> None:
    """Neither ends the reading; both are told."""
    write_picture(tmp_path / "benign" / "x.png")
    (tmp_path / "benign" / "x_mask.png").write_bytes(b"no picture")
    write_mask(tmp_path / "benign" / "y_mask.png")
    assert reasons(tmp_path) == {
        "benign/x_mask.png": "a mask that is not a readable picture",
        "benign/y_mask.png": "a mask without its image",
    }


def test_a_mask_stored_with_loss_has_its_own_edge(tmp_path: Path) -> None:
    """What JPEG spreads around an edge is not part of the lesion."""
    write_picture(tmp_path / "benign" / "x.png")
    write_mask(tmp_path / "benign" / "x_mask.jpg")
    ((lesion,),) = (case.truth.lesions or () for case in read_folder(tmp_path))
    assert (lesion.offset_px, lesion.mask.shape) == ((30, 20), (10, 6))


def test_a_folder_around_the_set_is_told_which_was_meant(tmp_path: Path) -> None:
    """Archives unpack into a folder of their own."""
    write_picture(tmp_path / "Dataset_BUSI_with_GT" / "normal" / "x.png")
    with pytest.raises(UnknownLayoutError, match=r"did you mean .*Dataset_BUSI_with_GT"):
        read_folder(tmp_path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_tables_as_spreadsheets_save_them(tmp_path: Path, encoding: str, separator: str) -> None:
    """Any separator and encoding, columns in any order, lines without a value."""
    lines = ["note,cancer,file", "schräg,1,a.png", ",,", "x,0,b.png"]
    text = "\r\n".join(line.replace(",", separator) for line in lines)
    (tmp_path / "labels.csv").write_bytes(text.encode(encoding))
    rows = read_table(tmp_path / "labels.csv", ("file", "cancer"))
    assert [(row["file"], row["cancer"]) for row in rows] == [("a.png", "1"), ("b.png", "0")]
    assert rows[0]["note"] == "schräg"


def test_a_table_without_rows_or_text_is_told(tmp_path: Path) -> None:
    """Columns alone, and a workbook under the name of a table."""
    (tmp_path / "labels.csv").write_text(RSNA)
    with pytest.raises(DataSetError, match="has no rows"):
        read_folder(tmp_path)
    (tmp_path / "labels.csv").write_bytes(b"PK\3\4\0\0\xff")
    with pytest.raises(DataSetError, match="save it as CSV"):
        read_folder(tmp_path)


def test_truth_of_rsna_is_never_guessed(tmp_path: Path) -> None:
    """1.0 is 1, an empty cell is unknown and not normal, anything else an error."""
    table = tmp_path / "labels.csv"
    table.write_text(RSNA + "a.png,1,1.0,1.0\nb.png,2,0.0,1.0\nc.png,3,,\nd.png,4,False,\n")
    labels = [case.truth.label for case in read_folder(tmp_path)]
    assert labels == ["malignant", "benign", None, "normal"]
    table.write_text(RSNA + "a.png,1,2,1\n")
    with pytest.raises(DataSetError, match="cancer is '2'; write 0, 1"):
        read_folder(tmp_path)


def test_a_file_that_stands_in_a_table_twice(tmp_path: Path) -> None:
    """Counted once and told; two labels of one file are an error."""
    table = tmp_path / "labels.csv"
    table.write_text(RSNA + "a.png,1,1,1\na.png,1,1,1\n")
    assert (len(read_folder(tmp_path)), reasons(tmp_path)) == (
        1,
        {"a.png": "a second row of the table"},
    )
    table.write_text(RSNA + "a.png,1,1,1\na.png,1,0,1\n")
    with pytest.raises(DataSetError, match="say malignant and benign"):
        read_folder(tmp_path)


def test_codes_of_mini_mias_in_small_letters_and_unknown_ones(tmp_path: Path) -> None:
    """Case does not matter; a kind that is none of the set's is no mass."""
    table = tmp_path / "labels.csv"
    table.write_text(MIAS + "a.png,circ,m,30,50,8\nb.png,norm,,,,\n")
    circle, normal = read_folder(tmp_path)
    assert (circle.truth.label, len(circle.truth.lesions or ())) == ("malignant", 1)
    assert (normal.truth.label, normal.truth.lesions) == ("normal", ())
    table.write_text(MIAS + "a.png,XYZ,M,30,50,8\n")
    with pytest.raises(DataSetError, match=r"a\.png has abnormality 'XYZ'; known are CALC"):
        read_folder(tmp_path)


@pytest.mark.parametrize("radius", ["NaN", "*NOTE 3*", "-5"])
def test_a_circle_that_is_none_is_unknown(tmp_path: Path, radius: str) -> None:
    """The lesion is there, and where is not known."""
    (tmp_path / "labels.csv").write_text(MIAS + f"a.png,CIRC,M,30,50,{radius}\n")
    (case,) = read_folder(tmp_path)
    assert (case.truth.label, case.truth.lesions) == ("malignant", None)


def test_what_is_not_there_is_told_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Pictures without a line, lines without a picture; an ending in capitals is found."""
    write_picture(tmp_path / "mdb001.pgm").rename(tmp_path / "mdb001.PGM")
    write_picture(tmp_path / "mdb009.pgm")
    (tmp_path / "Info.txt").write_text("mdb001 G NORM\nmdb002 G CIRC B 522 280 69\n")
    with caplog.at_level(logging.WARNING):
        (case,) = read_folder(tmp_path)
    assert case.name == "mdb001"
    assert reasons(tmp_path) == {
        "mdb002": "Info.txt names it, and it is not there",
        "mdb009.pgm": "Info.txt does not describe it",
    }
    assert "1 left out (mdb002, ...)" in caplog.text


def test_pictures_with_fewer_bits_than_their_files(tmp_path: Path) -> None:
    """12 bits in files of 16 use the whole range, as do pictures of 16."""
    for bits in (10, 12, 16):
        cv2.imwrite(str(tmp_path / "a.png"), np.full((9, 9), 2**bits - 1, np.uint16))
        assert read_levels(tmp_path / "a.png").max() == 1.0
    with pytest.raises(FileNotFoundError, match=r"b\.png is missing"):
        read_levels(tmp_path / "b.png")


def test_a_square_dicom_image_is_not_squashed(tmp_path: Path) -> None:
    """Only pictures that somebody converted are; a DICOM image has its own proportions."""
    write_dicom(tmp_path / "train_images" / "7" / "1.dcm", breast(120, 120))
    (tmp_path / "train.csv").write_text(
        "patient_id,image_id,laterality,view,cancer,biopsy\n7,1,L,CC,0,0\n7,2,L,MLO,0,0\n"
    )
    (case,) = read_folder(tmp_path)
    assert case.read().pixels.shape == (120, 120)
    assert reasons(tmp_path) == {"7_2": "train.csv names it, and it is not there"}


def test_dicom_with_colour_or_damage_is_not_readable(tmp_path: Path) -> None:
    """An OSError with the reason, whatever the parser makes of it."""
    path = write_dicom(
        tmp_path / "a.dcm",
        np.zeros((30, 60), np.uint8),
        Rows=30,
        Columns=20,
        SamplesPerPixel=3,
        PhotometricInterpretation="RGB",
        PlanarConfiguration=0,
    )
    with pytest.raises(OSError, match="colour or several frames"):
        read_dicom(path)
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(OSError, match="not a readable DICOM image"):
        read_dicom(path)
    with pytest.raises(FileNotFoundError, match="is missing"):
        read_dicom(tmp_path / "none.dcm")


def test_cbis_ddsm_with_a_broken_file(tmp_path: Path) -> None:
    """A file that is no DICOM does not end the reading of thousands; it is told."""
    columns = (
        "patient_id,left or right breast,image view,pathology,image file path,"
        "cropped image file path,ROI mask file path"
    )
    line = "P_1,LEFT,CC,BENIGN,Mass_P_1/1/1.1/a.dcm,Mass_P_1_1/1/1.2/b.dcm,Mass_P_1_1/1/1.2/c.dcm"
    table = tmp_path / "mass_case_description_train_set.csv"
    table.write_text(f"{columns}\n{line}\n{line.replace('P_1', 'P_2')}\n")
    write_dicom(tmp_path / "x" / "1.DCM", breast(), "Mass_P_1", "1.1")
    write_dicom(tmp_path / "x" / "2.dcm", mask((20, 10, 12, 8)), "Mass_P_1_1", "1.2")
    (tmp_path / "x" / "3.dcm").write_bytes(b"no image")
    contents = read_contents(tmp_path)
    (case,) = contents.cases
    assert len(case.truth.lesions or ()) == 1
    assert {entry.name: entry.reason for entry in contents.left_out} == {
        "x/3.dcm": "not a readable DICOM image (InvalidDicomError)",
        "Mass_P_2": f"{table.name} names it, and it is not there",
    }


def test_annotations_that_lack_something_are_named(tmp_path: Path) -> None:
    """A COCO entry without its file name, a VIA shape without its points."""
    (tmp_path / "sentinode.toml").write_text('modality = "US"\n')
    document = tmp_path / "a.json"
    document.write_text('{"images": [{"id": 1}], "annotations": [], "categories": []}')
    with pytest.raises(DataSetError, match=r"a\.json: an entry .* 'file_name'"):
        read_folder(tmp_path)
    write_picture(tmp_path / "x.png")
    document.write_text(
        '{"x": {"filename": "x.png", "regions": [{"shape_attributes": {"name": "circle"},'
        '"region_attributes": {"class": "benign"}}]}}'
    )
    with pytest.raises(DataSetError, match=r"a\.json: an entry .* 'cx'"):
        read_folder(tmp_path)


def test_a_picture_that_cannot_be_read_does_not_end_a_split(tmp_path: Path) -> None:
    """It stands for itself; whoever reads it is told."""
    write_picture(tmp_path / "benign" / "a.png")
    (tmp_path / "benign" / "b.png").write_bytes(b"no picture")
    split = hold_out(read_folder(tmp_path))
    assert sorted([*split.training, *split.validation]) == [0, 1]


def test_sets_say_which_kinds_they_outline(tmp_path: Path) -> None:
    """Circles of mini-MIAS are masses and clusters; a VIA file tells of the kinds drawn in it."""
    (tmp_path / "labels.csv").write_text(MIAS + "a.png,NORM,,,,\n")
    (case,) = read_folder(tmp_path)
    assert [case.truth.knows(kind) for kind in FindingKind] == [True, True, False]
    (tmp_path / "labels.csv").unlink()
    (tmp_path / "sentinode.toml").write_text('modality = "MG"\n')
    write_picture(tmp_path / "a.png")
    shape = '{"name": "rect", "x": 5, "y": 8, "width": 10, "height": 4}'
    region = f'{{"shape_attributes": {shape}, "region_attributes": {{"class": "bac"}}}}'
    (tmp_path / "via.json").write_text(f'{{"a": {{"filename": "a.png", "regions": [{region}]}}}}')
    (case,) = read_folder(tmp_path)
    assert [case.truth.knows(kind) for kind in FindingKind] == [False, False, True]


def test_a_picture_of_which_a_part_was_copied_is_not_readable(tmp_path: Path) -> None:
    """OpenCV would fill the rest of a JPEG with grey; of other formats it reads nothing."""
    pixels = np.random.default_rng(0).integers(0, 255, (200, 200), np.uint8)
    for name in ("a.jpg", "a.png", "a.pgm"):
        cv2.imwrite(str(tmp_path / name), pixels)
        assert read_levels(tmp_path / name).shape == (200, 200)
        data = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(data[: len(data) // 2])
        with pytest.raises(OSError, match="is not a readable picture"):
            read_levels(tmp_path / name)


@pytest.mark.parametrize("line", [RSNA + "a.png,1,0,0\n", MIAS + "a.png,NORM,,,,\n"])
def test_a_picture_that_no_line_names_is_told(tmp_path: Path, line: str) -> None:
    """Beside a table its truth is not known; other files are not looked at."""
    (tmp_path / "labels.csv").write_text(line)
    for name in ("a.png", "B.PNG"):
        write_picture(tmp_path / name)
    (tmp_path / "notes.txt").write_text("x")
    assert reasons(tmp_path) == {"B.PNG": "labels.csv does not name it"}


@pytest.mark.parametrize(
    "lines", [RSNA + "a.png,1,0,0\nB.png,2,0,0\n", MIAS + "a.png,NORM,,,,\nB.png,NORM,,,,\n"]
)
def test_pictures_whose_names_the_table_has_in_other_letters(tmp_path: Path, lines: str) -> None:
    """Capitals or not, as in the archives' own forms; of two alike the one named is meant."""
    (tmp_path / "labels.csv").write_text(lines)
    for name, level in (("A.PNG", 50), ("B.png", 100), ("b.PNG", 150)):
        write_picture(tmp_path / name, level)
    assert reasons(tmp_path) == {"b.PNG": "labels.csv does not name it"}
    levels = [round(255 * case.read().pixels.max()) for case in read_folder(tmp_path)]
    assert levels == [50, 100]


def test_a_path_that_is_no_text(tmp_path: Path) -> None:
    """A folder named on an old disk: OpenCV's own reader ends the whole process at it."""
    write_picture(tmp_path / "benign" / "benign (1).png")
    write_mask(tmp_path / "benign" / "benign (1)_mask.png")
    write_study(tmp_path / "phantom", 3, StudyOptions(views=("US",), rows=256))
    odd = tmp_path.rename(tmp_path.with_name(os.fsdecode(b"caf\xe9")))
    contents = read_contents(odd)
    assert (len(contents.cases), contents.left_out) == (1, [])
    assert contents.cases[0].read().pixels.any()
    lesions = [lesion for truth in read_truth(odd / "phantom").values() for lesion in truth.lesions]
    assert lesions
    assert all(lesion.read_mask().any() for lesion in lesions)
