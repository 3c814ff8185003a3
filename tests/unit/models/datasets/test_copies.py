"""Sets as they are handed round: renamed, converted, resized, copied in part or twice."""

from __future__ import annotations

import json
import plistlib
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from models.datasets.cases import Case
from models.datasets.folders import UnknownLayoutError, read_contents, read_folder, read_layout
from models.datasets.pictures import size_of
from models.datasets.tables import DataSetError, read_table
from tests.unit.models.datasets.lookalikes import breast, mask, write_dicom, write_picture

SHAPE = (100, 80)
BOX = (30, 20, 10, 6)  # top, left, height, width
MIAS = "file,abnormality,severity,x_from_left_px,y_from_top_px,radius_px\n"
RSNA = "patient_id,image_id,laterality,view,cancer,biopsy\n"


def write(path: Path, levels: np.ndarray[Any, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix.lower(), levels)[1].tobytes())
    return path


def reasons(folder: Path) -> dict[str, str]:
    return {entry.name: entry.reason for entry in read_contents(folder).left_out}


def places(case: Case) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    assert case.truth.lesions is not None
    return [(lesion.offset_px, lesion.mask.shape) for lesion in case.truth.lesions]


# BUSI


def of_one(levels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return (levels // 255).astype(np.uint16)


def red(levels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.stack([0 * levels, 0 * levels, levels // 255], axis=2)


def seen_through(levels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.dstack([np.full((*levels.shape, 3), 255, np.uint8), levels])


@pytest.mark.parametrize("drawn", [of_one, red, seen_through])
def test_masks_of_any_depth_and_colour(tmp_path: Path, drawn: Any) -> None:
    """1 of 65,535, a dark red, white that is transparent elsewhere: the same lesion."""
    write_picture(tmp_path / "benign" / "x.png")
    write(tmp_path / "benign" / "x_mask.png", drawn(mask(BOX, SHAPE)))
    (case,) = read_folder(tmp_path)
    assert places(case) == [((30, 20), (10, 6))]


def test_busi_in_other_formats_and_with_masks_in_capitals(tmp_path: Path) -> None:
    """A TIFF is a picture, `_Mask` a mask and no image without one."""
    write(tmp_path / "benign" / "x.tif", breast(*SHAPE))
    write(tmp_path / "benign" / "x_Mask.tif", mask(BOX, SHAPE))
    (case,) = read_folder(tmp_path)
    assert (case.name, places(case)) == ("x", [((30, 20), (10, 6))])


def test_one_picture_in_two_formats_counts_once(tmp_path: Path) -> None:
    """The second one is told; it would stand there without a mask."""
    for name in ("x.jpg", "x.png"):
        write_picture(tmp_path / "benign" / name)
    write(tmp_path / "benign" / "x_mask.png", mask(BOX, SHAPE))
    assert len(read_folder(tmp_path)) == 1
    assert reasons(tmp_path) == {"benign/x.png": "another picture has this name"}


def test_one_mask_in_two_formats_is_one_lesion(tmp_path: Path) -> None:
    """The second one is told; the lesion would count twice."""
    write_picture(tmp_path / "benign" / "x.png")
    for name in ("x_mask.bmp", "x_mask.png", "x_mask_1.png"):
        write(tmp_path / "benign" / name, mask(BOX, SHAPE))
    (case,) = read_folder(tmp_path)
    assert len(places(case)) == 2
    assert reasons(tmp_path) == {"benign/x_mask.png": "another mask has this name"}


def test_a_picture_of_a_lesion_without_its_mask_is_told(tmp_path: Path) -> None:
    """Masks of other names would pass for pictures in silence, and be judged as such."""
    for path in ("benign/x.png", "benign/x-mask.png", "normal/y.png"):
        write_picture(tmp_path / path)
    assert [case.truth.lesions for case in read_folder(tmp_path)] == [(), None, None]
    reason = "no mask, as NAME_mask.png beside it: its lesions are unknown"
    assert reasons(tmp_path) == {"benign/x.png": reason, "benign/x-mask.png": reason}


def test_busi_with_folders_below_its_classes(tmp_path: Path) -> None:
    """Nothing is passed over in silence: no picture at all is an error, some are told."""
    write_picture(tmp_path / "benign" / "images" / "x.png")
    with pytest.raises(DataSetError, match="benign hold no picture; pictures and masks lie in"):
        read_folder(tmp_path)
    write_picture(tmp_path / "normal" / "y.png")
    assert reasons(tmp_path) == {"benign/images": "pictures in a folder below their class"}


def test_a_class_in_two_folders_and_links_to_nothing(tmp_path: Path) -> None:
    """Both folders are read; what git-annex has not fetched is told, not passed over."""
    for name in ("Benign", "BENIGN"):
        write_picture(tmp_path / name / f"{name}.png")
    (tmp_path / "BENIGN" / "x.png").symlink_to(tmp_path / "annex" / "x.png")
    cases = read_folder(tmp_path)
    assert [case.name for case in cases] == ["BENIGN", "x", "Benign"]
    with pytest.raises(OSError, match=r"x\.png is missing"):
        cases[1].read()


def test_a_picture_that_its_header_turns(tmp_path: Path) -> None:
    """It is read as viewers show it, and a mask must be of that size."""
    (tmp_path / "benign").mkdir()
    turned = Image.Exif()
    turned[0x0112] = 6
    path = tmp_path / "benign" / "x.jpg"
    Image.fromarray(breast(*SHAPE).astype(np.uint8)).save(path, exif=turned)
    write(tmp_path / "benign" / "x_mask.png", mask(BOX, SHAPE))
    (case,) = read_folder(tmp_path)
    assert case.read().pixels.shape == size_of(path) == (80, 100)
    assert case.truth.lesions is None
    assert reasons(tmp_path) == {"benign/x_mask.png": "a mask of another size than its image"}


def test_a_picture_that_claims_billions_of_pixels(tmp_path: Path) -> None:
    """Neither reader ends the command; the picture is one that cannot be read."""
    path = write_picture(tmp_path / "benign" / "x.png")
    data = path.read_bytes()
    head = b"IHDR" + (60_000).to_bytes(4) * 2 + data[24:29]
    path.write_bytes(data[:12] + head + checksum(head) + data[33:])
    write(tmp_path / "benign" / "x_mask.png", mask(BOX, SHAPE))
    (case,) = read_folder(tmp_path)
    with pytest.raises(OSError, match="is not a readable picture"):
        case.read()


def checksum(chunk: bytes) -> bytes:
    return zlib.crc32(chunk).to_bytes(4)


# mini-MIAS


def test_circles_on_pictures_of_another_size_are_unknown(tmp_path: Path) -> None:
    """They were drawn on 1024 x 1024 px; on a smaller copy they lie anywhere."""
    for name in ("mdb001.png", "mdb003.png"):
        write(tmp_path / name, breast(256, 256))
    (tmp_path / "info.txt").write_text("MDB001 G CIRC B 535 425 197 \r\nmdb003 D NORM\r\n")
    circle, normal = read_folder(tmp_path)
    assert (circle.truth.label, circle.truth.lesions) == ("benign", None)
    assert (normal.truth.label, normal.truth.lesions) == ("normal", ())
    (reason,) = reasons(tmp_path).values()
    assert reason.startswith("its circles do not lie on it")


@pytest.mark.parametrize("circle", ["9000,50,8", "30,50,1e300", "30,50,1000000"])
def test_a_circle_beside_its_picture_is_unknown(tmp_path: Path, circle: str) -> None:
    """Neither a lesion that nobody can find nor one of a million pixels across."""
    write_picture(tmp_path / "a.png")
    (tmp_path / "labels.csv").write_text(MIAS + f"a.png,CIRC,M,{circle}\n")
    (case,) = read_folder(tmp_path)
    assert (case.truth.label, case.truth.lesions) == ("malignant", None)


def test_rows_of_mini_mias_twice_and_against_each_other(tmp_path: Path) -> None:
    """A row that comes again is no second lesion; nothing and something is an error."""
    table = tmp_path / "labels.csv"
    table.write_text(MIAS + "a.png,CIRC,M,30,50,8\na.png,CIRC,M,40,50,8\na.png,circ,m,30,50,8\n")
    (case,) = read_folder(tmp_path)
    assert len(places(case)) == 2
    assert reasons(tmp_path) == {"a.png": "a second row of the table"}
    table.write_text(MIAS + "a.png,CIRC,M,30,50,8\na.png,NORM,,,,\n")
    with pytest.raises(DataSetError, match=r"rows of a\.png say CIRC and NORM"):
        read_folder(tmp_path)
    table.write_text(MIAS + "a.png,CIRC,X,30,50,8\n")
    with pytest.raises(DataSetError, match="severity 'X'; write B, M or nothing"):
        read_folder(tmp_path)


# RSNA


def test_rsna_as_others_convert_it(tmp_path: Path) -> None:
    """Endings in capitals, JPEG, one folder for all, no folder at all."""
    write_dicom(tmp_path / "train_images" / "7" / "1.DCM", breast())
    write_picture(tmp_path / "train_images" / "7" / "2.PNG")
    write_picture(tmp_path / "train_images" / "8_3.jpg")
    write_picture(tmp_path / "train_images" / "8_4.jpg")
    rows = "".join(f"{name},L,CC,0,0\n" for name in ("7,1", "7,2", "8,3"))
    (tmp_path / "train.csv").write_text(RSNA + rows)
    names = [case.name for case in read_folder(tmp_path) if case.read().pixels.any()]
    assert names == ["7_1", "7_2", "8_3"]
    assert reasons(tmp_path) == {"8_4.jpg": "train.csv does not name it"}
    for path in (tmp_path / "train_images").glob("8_*"):
        path.rename(tmp_path / path.name)
    for path in (tmp_path / "train_images").glob("7/*"):
        path.unlink()
    with pytest.raises(DataSetError, match=r"neither as PATIENT/IMAGE\.dcm .* nor as PATIENT_IM"):
        read_folder(tmp_path)
    (tmp_path / "train_images" / "7").rmdir()
    (tmp_path / "train_images").rmdir()
    assert [case.name for case in read_folder(tmp_path)] == ["8_3"]


def test_rows_of_rsna_twice_and_against_each_other(tmp_path: Path) -> None:
    """Counted once and told, as in a `labels.csv`; two classes of one image are an error."""
    write_picture(tmp_path / "train_images" / "7" / "1.png")
    table = tmp_path / "train.csv"
    table.write_text(RSNA + "7,1,L,CC,1,1\n" * 2)
    assert len(read_folder(tmp_path)) == 1
    assert reasons(tmp_path) == {"7_1": "a second row of the table"}
    table.write_text(RSNA + "7,1,L,CC,1,1\n7,1,L,CC,0,0\n")
    with pytest.raises(DataSetError, match="two rows of 7_1 say malignant and normal"):
        read_folder(tmp_path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a.png,1,0,9\n", "line 2: more values than columns; a value that holds a ','"),
        ('a.png,1,"0\nb.png,0,0\n', "is not a CSV table: unexpected end of data"),
    ],
)
def test_tables_whose_values_have_moved(tmp_path: Path, line: str, message: str) -> None:
    """Decimal commas, and a quote without its end, which takes the rows below it along."""
    (tmp_path / "labels.csv").write_text("file,cancer,biopsy\n" + line)
    with pytest.raises(DataSetError, match=message):
        read_table(tmp_path / "labels.csv")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_separators_within_a_value_end_no_row(tmp_path: Path, end: str) -> None:
    """What spreadsheets and editors put into a cell; the patient of the next value was another."""
    cells = ("a\vb", "a\u2028b", "a\x85b")
    lines = ["file,note,cancer", *(f"{n}.png,{cell},1" for n, cell in enumerate(cells)), ""]
    (tmp_path / "labels.csv").write_bytes(end.join(lines).encode())
    rows = read_table(tmp_path / "labels.csv")
    assert [(row["note"], row["cancer"]) for row in rows] == [(cell, "1") for cell in cells]


def test_a_column_that_stands_there_twice(tmp_path: Path) -> None:
    """Which of both is meant is not guessed."""
    (tmp_path / "labels.csv").write_text("file,file,cancer\na.png,b.png,1\n")
    with pytest.raises(DataSetError, match="has several columns file; leave one of them"):
        read_folder(tmp_path)


# CBIS-DDSM

CBIS = (
    "patient_id,left or right breast,image view,pathology,image file path,"
    "cropped image file path,ROI mask file path\n"
)
FILM = "Mass-Training_P_1_LEFT_CC"


def cbis_row(pathology: str = "MALIGNANT") -> str:
    paths = (f"{FILM}/1.1/1.2/0.dcm", f"{FILM}_1/1.1/1.3/0.dcm", f"{FILM}_1/1.1/1.3/1.dcm")
    return f"P_1,LEFT,CC,{pathology},{','.join(paths)}\n"


def write_cbis(folder: Path, rows: str) -> None:
    (folder / "tables").mkdir(parents=True)
    (folder / "tables" / "mass_case_description_train_set.csv").write_text(CBIS + rows)
    write_dicom(folder / "files" / "1.dcm", breast(), FILM, "1.2")
    write_dicom(folder / "files" / "2.dcm", mask((20, 10, 12, 8)), f"{FILM}_1", "1.3")
    (folder / "tables" / "CBIS-DDSM").symlink_to(folder / "files")


def test_cbis_ddsm_behind_a_link_in_small_letters(tmp_path: Path) -> None:
    """Images on another disk; a row that comes again is no second lesion; hidden files are none."""
    write_cbis(tmp_path, cbis_row("malignant") * 2)
    (tmp_path / "files" / "._1.dcm").write_bytes(b"\0\5")
    (case,) = read_folder(tmp_path / "tables")
    assert (case.truth.label, len(places(case))) == ("malignant", 1)
    (reason,) = reasons(tmp_path / "tables").values()
    assert reason == "a second row of mass_case_description_train_set.csv"


def test_a_pathology_that_is_none_is_an_error(tmp_path: Path) -> None:
    """It read as unknown."""
    write_cbis(tmp_path, cbis_row("CANCER"))
    with pytest.raises(DataSetError, match="pathology is 'CANCER'; known are MALIGNANT"):
        read_folder(tmp_path / "tables")


def test_a_path_that_is_none_is_told_with_its_table(tmp_path: Path) -> None:
    """An empty cell."""
    write_cbis(tmp_path, "P_1,LEFT,CC,BENIGN,,,\n")
    with pytest.raises(DataSetError, match=r"train_set\.csv: '' is not PATIENT/STUDY/SERIES"):
        read_folder(tmp_path / "tables")


def test_cbis_ddsm_as_jpeg(tmp_path: Path) -> None:
    """Tables in `csv`, pictures in folders named by series; which is the mask its pixels tell."""
    rng = np.random.default_rng(0)
    grey = rng.integers(1, 255, (120, 90), np.uint8)
    for series, name, levels in (
        *(("1.2", "1-1.jpg", grey), ("1.3", "1-9.jpg", grey[:60, :45])),
        ("1.3", "2-9.jpg", mask((20, 10, 16, 8))),
    ):
        write(tmp_path / "jpeg" / series / name, levels)
    (tmp_path / "csv").mkdir()
    (tmp_path / "csv" / "mass_case_description_train_set.csv").write_text(CBIS + cbis_row())
    layout, (case,) = read_layout(tmp_path)
    assert layout == "cbis_ddsm"
    assert places(case) == [((20, 10), (16, 8))]
    assert case.read().pixels.shape == (120, 90)
    with pytest.raises(DataSetError, match="name the folder that holds tables and images"):
        read_folder(tmp_path / "csv")


# INbreast


def write_inbreast(folder: Path, rows: Sequence[str], contours: Any) -> None:
    write_dicom(folder / "ALLDICOMs" / "1_p_MG_L_CC_ANON.dcm", breast())
    write_dicom(folder / "ALLDICOMs" / "2_p_MG_R_CC_ANON.dcm", breast())
    (folder / "AllXML").mkdir()
    if contours is not None:
        (folder / "AllXML" / "1.XML").write_bytes(plistlib.dumps(contours))
    (folder / "inbreast.csv").write_text("File Name;Bi-Rads\n" + "".join(rows))


@pytest.mark.parametrize("grade", ["2", "4a", "6"])
def test_contours_that_are_missing_are_unknown(tmp_path: Path, grade: str) -> None:
    """Only normal images come without; of another one a part was not copied."""
    write_inbreast(tmp_path, [f"1;{grade}\n", "2;1\n"], None)
    suspicious, normal = read_folder(tmp_path)
    assert (suspicious.truth.lesions, normal.truth.lesions) == (None, ())
    assert reasons(tmp_path) == {"1": "its contours are missing in AllXML: its lesions are unknown"}


@pytest.mark.parametrize(
    "contours",
    [
        {"Images": [{}]},
        {"Images": [{"ROIs": [{"Name": "Mass", "Point_px": ["(1, 2)", "(x)", "(3, 4)"]}]}]},
        {"Images": [{"ROIs": [{"Name": "Mass", "Point_px": ["(1, 2)", "(9e9, 1)", "(3, 4)"]}]}]},
    ],
)
def test_contours_that_are_none_are_named(tmp_path: Path, contours: Any) -> None:
    """Not a traceback, and no mask of nine thousand million columns."""
    write_inbreast(tmp_path, ["1;4\n", "2;1\n"], contours)
    with pytest.raises(DataSetError, match=r"1\.XML is no OsiriX list of contours"):
        read_folder(tmp_path)


@pytest.mark.parametrize(
    ("rois", "reason"),
    [
        (["Mass", "Asymmetry"], "a distortion or an asymmetry, neither mass nor cluster"),
        (["Assymetry"], "a distortion or an asymmetry, neither mass nor cluster"),
        (["Distortion"], "a distortion or an asymmetry, neither mass nor cluster"),
        (["Mass", "Cluster of one point"], "an outline encloses nothing of the picture"),
    ],
)
def test_contours_of_what_is_no_lesion_make_lesions_unknown(
    tmp_path: Path, rois: list[str], reason: str
) -> None:
    """Who marks an asymmetry makes no mistake, as in mini-MIAS; a point is there and outlines none.

    Single calcifications are no findings, however they are written.
    """
    square = ["(1.0, 2.0)", "(9.0, 2.0)", "(9.0, 8.0)"]
    drawn: list[dict[str, Any]] = [{"Name": name, "Point_px": square} for name in rois]
    for roi in drawn:
        if roi["Name"] == "Cluster of one point":
            roi |= {"Name": "Cluster", "Point_px": square[:1]}
    drawn.append({"Name": "Calcification", "Point_px": ["(1, 2)", "(x)"]})
    write_inbreast(tmp_path, ["1;4\n", "2;1\n"], {"Images": [{"ROIs": drawn}]})
    suspicious, normal = read_folder(tmp_path)
    assert (suspicious.truth.label, suspicious.truth.lesions) == ("malignant", None)
    assert normal.truth.lesions == ()
    assert reasons(tmp_path) == {"1": f"{reason}: its lesions are unknown"}


def test_tables_of_inbreast_that_cannot_be_meant(tmp_path: Path) -> None:
    """Two assessments of one image, and a workbook that is none."""
    write_inbreast(tmp_path, ["1;4a\n", "1;1\n"], {"Images": []})
    with pytest.raises(DataSetError, match="two rows of 1 say BI-RADS 4a and 1"):
        read_folder(tmp_path)
    (tmp_path / "INbreast.xls").write_bytes(b"no workbook")
    with pytest.raises(DataSetError, match=r"INbreast\.xls is no workbook"):
        read_folder(tmp_path)


# DDSM


@pytest.mark.parametrize(
    ("patches", "labels", "message"),
    [
        (np.zeros((2, 9, 9, 1), np.float32), np.array([0, 1]), "float32 of"),
        (np.zeros((2, 9, 9, 3), np.uint8), np.array([0, 1]), "no grey patches in bytes"),
        (np.zeros((2, 9, 9, 1), np.uint8), np.array([0, 9]), "a label is 9; known are 0 to 4"),
        (b"", np.array([0, 1]), "cv10_data.npy is no array that numpy has saved"),
        (np.zeros((2, 9, 9, 1), np.uint8), b"x", "cv10_labels.npy is no array"),
    ],
)
def test_arrays_that_are_none_of_the_sets(
    tmp_path: Path, patches: Any, labels: Any, message: str
) -> None:
    """Floats would all be black, colours end the evaluation, and 9 read as unknown."""
    for name, values in (("cv10_data.npy", patches), ("cv10_labels.npy", labels)):
        if isinstance(values, bytes):
            (tmp_path / name).write_bytes(values)
        else:
            np.save(tmp_path / name, values)
    (tmp_path / "._training10_0.tfrecords").write_bytes(b"\0\5")
    with pytest.raises(DataSetError, match=message):
        read_folder(tmp_path)


# VIA and COCO

RECT = {"name": "rect", "x": 20, "y": 30, "width": 6, "height": 10}


def via_entry(name: str, *shapes: dict[str, Any]) -> dict[str, Any]:
    regions = [{"shape_attributes": s, "region_attributes": {"class": "benign"}} for s in shapes]
    return {"filename": name, "regions": regions}


def write_via(folder: Path, *entries: dict[str, Any], to: str = "via.json") -> None:
    (folder / "sentinode.toml").write_text('modality = "US"\n')
    for entry in entries:
        write_picture(folder / entry["filename"])
    document = {f"{number}": entry for number, entry in enumerate(entries)}
    (folder / to).write_text(json.dumps(document))


POLYGON = [20, 30, 26, 30, 26, 40, 20, 40]


def write_coco(folder: Path, size: tuple[int, int] = SHAPE, **changes: Any) -> Path:
    (folder / "sentinode.toml").write_text('modality = "US"\n')
    annotation = {"image_id": 1, "category_id": 1, "bbox": [20, 30, 6, 10], **changes}
    images = [{"id": 1, "file_name": "a.png", "height": size[0], "width": size[1]}]
    document = {
        "images": images,
        "annotations": [annotation],
        "categories": [{"id": 1, "name": "benign"}],
    }
    write_picture(folder / "a.png")
    (folder / "coco.json").write_text(json.dumps(document))
    return folder / "coco.json"


@pytest.mark.parametrize("change", [{"width": 0}, {"x": 500}, {"x": -40}])
def test_a_region_that_encloses_nothing_is_no_normal_picture(
    tmp_path: Path, change: dict[str, int]
) -> None:
    """Drawn without width, or beside the picture: something is there, and nobody knows where."""
    write_via(tmp_path, via_entry("a.png", RECT, RECT | change))
    (case,) = read_folder(tmp_path)
    assert (case.truth.label, case.truth.lesions) == ("benign", None)
    (reason,) = reasons(tmp_path).values()
    assert reason.startswith("an outline encloses nothing of the picture")


@pytest.mark.parametrize(
    "change",
    [
        *({"segmentation": outline} for outline in ([[]], [[1, 2]], [[500 + n for n in POLYGON]])),
        {"bbox": [0, 0, 0, 0]},
    ],
)
def test_an_annotation_that_encloses_nothing_is_no_normal_picture(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    """The same in COCO's format; a polygon of one corner was a traceback."""
    write_coco(tmp_path, **change)
    (case,) = read_folder(tmp_path)
    assert (case.truth.label, case.truth.lesions) == ("benign", None)
    assert list(reasons(tmp_path)) == ["a.png"]


def test_annotations_of_a_larger_copy_are_unknown(tmp_path: Path) -> None:
    """Pictures are often made smaller afterwards, and the outlines stay where they were."""
    write_coco(tmp_path, (200, 160), segmentation=[POLYGON])
    (case,) = read_folder(tmp_path)
    assert (case.truth.label, case.truth.lesions) == ("benign", None)
    assert reasons(tmp_path) == {
        "a.png": "annotated on another size than the picture has: its lesions are unknown"
    }
    write_coco(tmp_path, segmentation=[POLYGON])
    (case,) = read_folder(tmp_path)
    assert places(case) == [((30, 20), (10, 6))]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"segmentation": {"size": [9, 9], "counts": [1, 80]}}, r"run lengths of \[9, 9\] px"),
        ({"segmentation": {"size": list(SHAPE), "counts": "@@"}}, "an entry is not as its format"),
        ({"bbox": [0, 0, 1e9, 1e9]}, r"has the number 1e\+09, larger than any picture"),
    ],
)
def test_outlines_that_cannot_be_meant_are_named(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    """Not a traceback, and no mask that fills the memory."""
    write_coco(tmp_path, **change)
    with pytest.raises(DataSetError, match=message):
        read_folder(tmp_path)


def test_shapes_larger_than_any_picture_are_named(tmp_path: Path) -> None:
    """VIA's circles and polygons, too; NaN is no number."""
    for shape in (
        {"name": "circle", "cx": 5, "cy": 5, "r": 1e6},
        {"name": "polygon", "all_points_x": [0, 9e9, 1], "all_points_y": [0, 0, 9]},
        {"name": "polygon", "all_points_x": [0, float("nan"), 1], "all_points_y": [0, 0, 9]},
    ):
        write_via(tmp_path, via_entry("a.png", shape))
        with pytest.raises(DataSetError, match="larger than any picture"):
            read_folder(tmp_path)


def test_a_picture_that_is_annotated_twice(tmp_path: Path) -> None:
    """A project beside its export, a copy, two entries: it would count twice."""
    write_via(tmp_path, via_entry("a.png", RECT))
    write_via(tmp_path, via_entry("a.png"), to="via_project.json")
    with pytest.raises(DataSetError, match=r"a\.png is annotated in .*via\.json and in .*project"):
        read_folder(tmp_path)
    (tmp_path / "via_project.json").unlink()
    write_via(tmp_path, via_entry("a.png", RECT), via_entry("a.png"))
    with pytest.raises(DataSetError, match=r"via\.json lists a\.png twice"):
        read_folder(tmp_path)


def test_numbers_of_images_that_are_none_or_two(tmp_path: Path) -> None:
    """An annotation of an image that is not in the list is told; one number is one image's."""
    path = write_coco(tmp_path)
    document = json.loads(path.read_text())
    document["annotations"].append({"image_id": 7, "category_id": 1, "bbox": [1, 1, 2, 2]})
    path.write_text(json.dumps(document))
    assert reasons(tmp_path) == {"image 7": "annotated in coco.json, and not in its list"}
    document["images"].append(document["images"][0] | {"file_name": "b.png"})
    path.write_text(json.dumps(document))
    write_picture(tmp_path / "b.png")
    with pytest.raises(DataSetError, match="gives several of its images the same id"):
        read_folder(tmp_path)


def test_what_stands_beside_annotations_is_told(tmp_path: Path) -> None:
    """A picture that nobody annotated, and the other format; not what systems hide there."""
    write_coco(tmp_path)
    write_via(tmp_path, via_entry("a.png", RECT))
    write_picture(tmp_path / "more.png")
    (tmp_path / "._via.json").write_bytes(b"\0\5")
    (tmp_path / ".vscode").mkdir()
    (tmp_path / ".vscode" / "settings.json").write_text("{ // }")
    assert reasons(tmp_path) == {
        "more.png": "no annotation names it",
        "coco.json": "COCO's format beside VIA's: not read",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"modality = US\n", "is not TOML"),
        (b'modality = "US"\npixel_spacing_mm = 0.1\n', "pixel_spacing_mm is 0.1; write two"),
        (b'modality = "US"\npixel_spacing_mm = [0.1, 0]\n', "write two lengths"),
        (b'modality = "US"\ncategories = 3\n', "categories is no table"),
        (b'modality = "US"\n[categories]\nx = 3\n', "x is 3; write a list"),
        (b'modality = "US"\n[categories]\nx = ["mass", "mc"]\n', "means several things"),
    ],
)
def test_a_description_that_is_none(tmp_path: Path, text: bytes, message: str) -> None:
    """The file that people write by hand: its mistakes are told."""
    write_via(tmp_path, via_entry("a.png", RECT))
    (tmp_path / "sentinode.toml").write_bytes(text)
    with pytest.raises(DataSetError, match=message):
        read_folder(tmp_path)


def test_a_description_as_windows_saves_it(tmp_path: Path) -> None:
    """With a byte order mark, or in its own code page; one word stands for a list of one.

    A category that is said to be malignant, and not of which kind, is not left out.
    """
    write_via(tmp_path, via_entry("a.png", RECT))
    text = 'modality = "US"\n[categories]\n"benign" = "malignant"  # ü\n'
    for data in (b"\xef\xbb\xbf" + text.encode(), text.encode("cp1252")):
        (tmp_path / "sentinode.toml").write_bytes(data)
        (case,) = read_folder(tmp_path)
        assert case.truth.label == "malignant"


def test_a_folder_two_above_the_set_is_told_which_were_meant(tmp_path: Path) -> None:
    """Archives unpack into a folder of a folder; somebody's own sides are two sets."""
    for side in ("test", "train"):
        write_picture(tmp_path / "archive" / side / "normal" / "x.png")
    with pytest.raises(UnknownLayoutError, match=r"did you mean .*/test or .*/train\?"):
        read_folder(tmp_path)
