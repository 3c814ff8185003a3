"""Roles of a C-GET requestor: it offers to store what we send it (PS3.7 D.3.3.4).

In: an association request. Out: the contexts that this one association may have. Only where the
requestor proposes to be SCP of a storage class, the node accepts to be its SCU as well, and prefers
the transfer syntax that its own objects of that class have: they are sent as they are kept, or not
at all. Every other context is negotiated as for plain C-STORE.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from node.logs import log
from node.retrieve.holdings import GIVEN_OUT
from node.store.session import Store
from node.store.tables import Instance

# The kept syntaxes are told from the latest instances: those that people fetch, at a bounded cost.
_LATEST = 2000


def offer_roles(association: Association, store: Store) -> None:
    """Adapt what the acceptor supports, before negotiation."""
    proposed = {
        str(uid) for uid, item in association.requestor.role_selection.items() if item.scp_role
    }
    if not proposed:
        return
    kept = _kept_syntaxes(store)
    association.acceptor.supported_contexts = [
        _with_both_roles(context, kept) if str(context.abstract_syntax) in proposed else context
        for context in association.acceptor.supported_contexts
    ]


def _with_both_roles(
    context: PresentationContext, kept: Mapping[str, Sequence[str]]
) -> PresentationContext:
    both = PresentationContext()
    both.abstract_syntax = context.abstract_syntax
    preferred = [*kept.get(str(context.abstract_syntax), ()), str(ExplicitVRLittleEndian)]
    supported = [str(syntax) for syntax in context.transfer_syntax]
    both.transfer_syntax = [
        syntax for syntax in dict.fromkeys([*preferred, *supported]) if syntax in supported
    ]
    both.scu_role = both.scp_role = True
    return both


def _kept_syntaxes(store: Store) -> dict[str, list[str]]:
    """Transfer syntaxes by SOP class, the most frequent first."""
    latest = (
        select(Instance.sop_class_uid, Instance.transfer_syntax_uid)
        .where(GIVEN_OUT)
        .order_by(Instance.id.desc())
        .limit(_LATEST)
        .subquery()
    )
    pair = (latest.c.sop_class_uid, latest.c.transfer_syntax_uid)
    statement = select(*pair).group_by(*pair).order_by(func.count().desc())
    kept: dict[str, list[str]] = {}
    try:
        with store.reading() as session:
            for sop_class_uid, syntax in session.execute(statement):
                kept.setdefault(sop_class_uid, []).append(syntax)
    except SQLAlchemyError as error:
        log.warning("no preferred syntaxes", extra={"reason": type(error).__name__})
    return kept
