"""The page of a study, image by image: what belongs to which object."""

from __future__ import annotations

from node.settings import Settings
from node.store.files import Files
from node.store.session import Store
from node.store.tables import Instance
from node.web.detail import StudyPage, study_page
from tests.unit.node.web.rows import add_study, source_uid


def _page(store: Store, settings: Settings, study_uid: str) -> StudyPage:
    with store.reading() as session:
        return study_page(session, Files(settings.state_dir), study_uid)


def _draw(settings: Settings, study_uid: str, sop_instance_uid: str) -> None:
    files = Files(settings.state_dir)
    files.write(files.picture_path(study_uid, 1, sop_instance_uid), b"PNG")


def _add(store: Store, study_uid: str, **changes: object) -> None:
    """Another object beside the study's first, alike but for these attributes."""
    with store.writing() as session:
        first = session.query(Instance).filter_by(study_uid=study_uid).one()
        columns = (column.name for column in Instance.__table__.c if column.name != "id")
        values = {name: getattr(first, name) for name in columns}
        session.add(Instance(**values | {"path": "instances/other.dcm"} | changes))


def test_what_is_kept_apart_has_no_findings(store: Store, settings: Settings) -> None:
    """They are those of the object whose SOP Instance UID it has too."""
    uid = add_study(store)
    _draw(settings, uid, source_uid())
    _add(store, uid, conflict=True, digest="1" * 64)
    analysed, apart = _page(store, settings, uid).images
    assert (analysed.picture, len(analysed.findings), len(analysed.runs)) == (True, 1, 1)
    assert (apart.picture, apart.findings, apart.runs) == (False, (), ())
    assert apart.sop_instance_uid == analysed.sop_instance_uid


def test_a_replaced_image_shows_no_outlines_of_before(store: Store, settings: Settings) -> None:
    """A raw image that an earlier revision looked at, before the one for people came."""
    uid = add_study(store)
    raw = source_uid(view="raw")
    _add(store, uid, sop_instance_uid=raw, models=[], skip_reason="another one is analysed")
    _draw(settings, uid, raw)
    _, replaced = _page(store, settings, uid).images
    assert (replaced.sop_instance_uid, replaced.picture) == (raw, False)


def test_an_image_in_work_keeps_its_picture(store: Store, settings: Settings) -> None:
    """Until the next revision has drawn it again."""
    uid = add_study(store)
    second = source_uid(view="MLO")
    _add(store, uid, sop_instance_uid=second)
    _draw(settings, uid, second)
    _, waiting = _page(store, settings, uid).images
    assert waiting.picture
