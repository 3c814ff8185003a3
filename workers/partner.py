"""Stage 7, before encoding: which other study of the patient goes into a job's combined report.

In: a job whose models have run. Out: a row in `combination`: the partner's job, and the job whose
combined report this one replaces. What must hold: it is decided once, so that a retry encodes the
same bytes; of two studies that are analysed at the same moment exactly one combines; nobody is
combined with someone else's images.

Partners are of the same PatientID and IssuerOfPatientID, hold the other modality alone, have a
StudyDate within the window, and the nearest is taken. An empty PatientID or StudyDate matches
nothing; a birth date or sex that contradicts is logged, by ids. Two issuers that differ are two
patients, an empty one included: which hospital's number it is cannot be known. A study that holds
both modalities is combined in itself, and with no other.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import ScalarSelect, exists, func, or_, select
from sqlalchemy.orm import Session, aliased

from models.contract import Modality
from node.job import REMOVED, RUNNING, SKIPPED, Lease, hold, last_job, new_job, utc_now
from node.logs import log
from node.store.patient import lock_patient
from node.store.runs import DECLINED
from node.store.session import Store
from node.store.tables import Combination, Job, ModelRun, Result, Study
from workers.assessment import MODALITIES, modality_of

COMBINED = "COMBINED"


@dataclass(frozen=True, slots=True)
class _Analysed:
    """Another study's last analysed job; attributes as `Study` has them."""

    job_id: int
    study_uid: str
    StudyDate: str
    StudyTime: str
    PatientBirthDate: str
    PatientSex: str
    modalities: set[Modality]


def decide_partner(store: Store, lease: Lease, window_days: int) -> Combination | None:
    """Decide, or read what was decided. None: no combined report of this job.

    The caller has recorded `inferred_at`: whoever decides later sees it. Raises LeaseLostError.
    """
    if window_days == 0:
        return None
    with store.writing() as session:
        job = hold(session, lease)
        decided = session.get(Combination, job.id)
        if decided is None:
            lock_patient(session, job.study)
            partner = _partner(session, job, window_days)
            decided = Combination(
                job_id=job.id,
                partner_job_id=None if partner is None else partner.id,
                predecessor_job_id=None
                if partner is None
                else _predecessor(session, job.study_uid, partner.study_uid),
                decided_at=utc_now(),
            )
            session.add(decided)
    return None if decided.partner_job_id is None else decided


def reopen_partners(session: Session, job: Job) -> None:
    """Have studies reported anew whose combined report counts what `job` withdraws."""
    # Then whoever is just deciding to combine with it has decided.
    lock_patient(session, job.study)
    mine = select(Job.id).where(Job.study_uid == job.study_uid)
    combining = (
        select(Job.study_uid)
        .join(Combination, Combination.job_id == Job.id)
        .where(Combination.partner_job_id.in_(mine), Job.study_uid != job.study_uid)
        .where(Job.revision == _last_analysed())
        .join(Study, Study.study_uid == Job.study_uid)
        .order_by(Job.study_uid)
    )
    for study_uid in session.scalars(combining):
        # Locked: reception and sweepers write this row too.
        study = session.get_one(Study, study_uid, with_for_update=True, populate_existing=True)
        last = last_job(session, study_uid)
        # A job of which no model has run yet decides anew.
        if last is not None and last.revision == study.revision and last.inferred_at is not None:
            study.revision += 1
            new_job(session, study, "the study that it was combined with is rejected")


def _partner(session: Session, job: Job, window_days: int) -> Job | None:
    """The job whose analysis this one is combined with, here and not there."""
    if _modalities(session, job) == set(MODALITIES):
        return job
    nearest = _nearest(session, job, window_days)
    if nearest is None or _combines(session, nearest, job, window_days):
        return None
    return nearest


def _combines(session: Session, other: Job, job: Job, window_days: int) -> bool:
    """Whether the other job's report holds this job's analysis, or will."""
    decided = session.get(Combination, other.id)
    if decided is not None:
        assert job.inferred_at is not None
        return decided.partner_job_id == job.id and decided.decided_at >= job.inferred_at
    # It decides later and will see this job: the study that was complete later combines.
    later = (other.complete_at, other.id) > (job.complete_at, job.id)
    return other.state == RUNNING and later and _nearest(session, other, window_days) is job


def _nearest(session: Session, job: Job, window_days: int) -> Job | None:
    """The analysed job of the other modality that is nearest in time."""
    mine, taken_at = _modalities(session, job), _study_time(job.study)
    if len(mine) != 1 or taken_at is None:
        return None
    candidates = [
        (abs((other_at - taken_at).total_seconds()), other)
        for other in _analysed(session, job.study, taken_at.date(), window_days)
        if (other_at := _study_time(other)) is not None
        and other.modalities == set(MODALITIES) - mine
    ]
    for _, other in sorted(candidates, key=lambda each: (each[0], each[1].study_uid)):
        if _is_same(job.study, other):
            return session.get_one(Job, other.job_id)
    return None


def _analysed(session: Session, study: Study, day: date, window_days: int) -> list[_Analysed]:
    """The last analysed job of every other study of this patient's number, within the window.

    In one question: to many studies a device or a researcher may have given the same number.
    """
    if not study.PatientID:
        return []
    accepted = aliased(ModelRun)
    rows = session.execute(
        select(
            *(Job.id, Study.study_uid, Study.StudyDate, Study.StudyTime),
            *(Study.PatientBirthDate, Study.PatientSex, ModelRun.model),
        )
        .distinct()
        .select_from(Study)
        .join(Job, (Job.study_uid == Study.study_uid) & (Job.revision == _last_analysed()))
        .join(ModelRun, ModelRun.job_id == Job.id)
        .where(
            Study.PatientID == study.PatientID,
            Study.IssuerOfPatientID == study.IssuerOfPatientID,
            Study.study_uid != study.study_uid,
            Study.StudyDate.between(_later(day, -window_days), _later(day, window_days)),
            # Models declined all that was left of a study that is taken back.
            exists().where(accepted.job_id == Job.id, accepted.state != DECLINED),
        )
    )
    found: dict[int, _Analysed] = {}
    for job_id, study_uid, on, at, born, sex, model in rows:
        facts = _Analysed(job_id, study_uid, on, at, born, sex, modalities=set())
        other = found.setdefault(job_id, facts)
        if (modality := modality_of(model)) is not None:
            other.modalities.add(modality)
    return list(found.values())


def _is_same(study: Study, other: _Analysed) -> bool:
    """Whether nothing that both say of the patient contradicts."""
    wrong = [
        keyword
        for keyword in ("PatientBirthDate", "PatientSex")
        if (mine := getattr(study, keyword)) and (theirs := getattr(other, keyword)) != mine
        if theirs
    ]
    if wrong:
        facts = {"study": study.study_uid, "other": other.study_uid, "differs": ", ".join(wrong)}
        log.warning("same patient id, other person: not combined", extra=facts)
    return not wrong


def _last_analysed() -> ScalarSelect[int]:
    """The last revision of a study whose models have all run, whatever became of it afterwards."""
    other = aliased(Job)
    return (
        select(func.max(other.revision))
        .where(other.study_uid == Study.study_uid, other.inferred_at.is_not(None))
        .where(other.state.not_in((SKIPPED, REMOVED)))
        .correlate(Study)
        .scalar_subquery()
    )


def _modalities(session: Session, job: Job) -> set[Modality]:
    models = session.scalars(select(ModelRun.model).where(ModelRun.job_id == job.id).distinct())
    return {modality for model in models if (modality := modality_of(model)) is not None}


def _predecessor(session: Session, study_uid: str, partner_uid: str) -> int | None:
    """The job of the last combined report on this study, or on this pair of studies."""
    job, partner = aliased(Job), aliased(Job)
    return session.scalar(
        select(Combination.job_id)
        .join(job, job.id == Combination.job_id)
        .join(partner, partner.id == Combination.partner_job_id)
        .join(Result, (Result.job_id == job.id) & (Result.kind == COMBINED))
        .where(
            or_(
                job.study_uid == study_uid,
                (job.study_uid == partner_uid) & (partner.study_uid == study_uid),
            )
        )
        .order_by(Combination.decided_at.desc())
        .limit(1)
    )


def _later(day: date, days: int) -> str:
    """A day so many days after another, as DICOM writes it; no earlier or later than there are."""
    number = min(max(day.toordinal() + days, 1), date.max.toordinal())
    return date.fromordinal(number).isoformat().replace("-", "")


def _study_time(study: Study | _Analysed) -> datetime | None:
    """When the study says it was made; midnight where it tells no time (PS3.5 6.2, DA and TM)."""
    try:
        day = datetime.strptime(study.StudyDate, "%Y%m%d")
    except ValueError:
        return None
    try:
        clock = datetime.strptime(study.StudyTime[:6], "%H%M%S")
    except ValueError:
        return day
    return datetime.combine(day.date(), clock.time())
