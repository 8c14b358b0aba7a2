"""Where trials are kept, so that a study can go on later, and in several processes at once. Imports Optuna."""

from __future__ import annotations

import json
import time
import warnings
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy.exc
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage, RDBStorage
from optuna.trial import FrozenTrial, TrialState

from fastnn.run import Data
from fastnn.tuning._search import point
from fastnn.tuning._study import State, Trial
from fastnn.tuning.space import Space

JOURNAL = "journal:"
OUTCOME, REASON, RESULT = "outcome", "reason", "result"  # what a trial says of itself

_QUESTION = "fastnn"
_HEARTBEAT, _SILENCE = 10, 60  # seconds between two signs of life of a trial, and without any until it counts as lost
_PATIENCE = 60  # seconds that a process waits for the others' writing to an SQLite file
_TRIES = 5
_PACKAGES = {"psycopg2": "psycopg2-binary", "psycopg": "psycopg[binary]", "MySQLdb": "mysqlclient"}  # by module


@contextmanager
def reachable(url: str | None) -> Iterator[None]:
    """What goes wrong with a storage becomes ConnectionError in one line, without the password of the URL."""
    try:
        yield
    except sqlalchemy.exc.ArgumentError as error:
        raise ValueError(
            f"tune: storage must be a URL such as sqlite:///study.db, postgresql://host/name or {JOURNAL}study.log, "
            f"got {url!r}"
        ) from error
    except ImportError as error:
        module = error.name or "its module"
        message = f"tune: the driver of {shown(url)} is not installed (pip install {_PACKAGES.get(module, module)})"
        raise ModuleNotFoundError(message, name=error.name) from error
    except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        cause = error if isinstance(error, sqlalchemy.exc.SQLAlchemyError) else error.__cause__ or error
        why = str(getattr(cause, "orig", None) or cause).strip().splitlines()[0]
        raise ConnectionError(f"tune: the storage {shown(url)} cannot be used: {why}") from error


@contextmanager
def quiet() -> Iterator[None]:
    """Optuna's log says nothing: what is to be said, fastnn says."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(level)


def study(url: str | None, name: str, **parts: Any) -> optuna.Study:
    """The study of that name, new or old. parts: its sampler and pruner. Raises as `reachable` says."""
    with reachable(url):
        storage = _opened(url)
        return optuna.create_study(storage=storage, study_name=name, direction="maximize", load_if_exists=True, **parts)


def check(url: str) -> None:
    """Raise what `reachable` says where the URL is none, or its database's driver is missing; nothing is opened."""
    if not url.startswith(JOURNAL):
        with reachable(url):
            sqlalchemy.engine.make_url(url).get_dialect().import_dbapi()


def agree(study: optuna.Study, question: Mapping[str, Any], where: str) -> None:
    """Write down what a new study asks; ValueError where an old one asks anything else."""
    asked = json.loads(json.dumps(question))
    known = study.user_attrs.get(_QUESTION)
    if known is None:
        if study.get_trials(deepcopy=False):
            raise ValueError(f"tune: the study {study.study_name!r} in {where} is not one of fastnn")
        study.set_user_attr(_QUESTION, asked)
        known = study.user_attrs[_QUESTION]
    for key in {**known, **asked}:
        old, new = known.get(key), asked.get(key)
        if old != new:
            old, new = ("absent" if value is None else json.dumps(value) for value in (old, new))
            raise ValueError(
                f"tune: the study {study.study_name!r} in {where} is another one: {key} was {old}, is {new}; "
                "choose another folder, storage or name"
            )


def question(space: Space, search: str, data: Data) -> dict[str, Any]:
    """What decides whether trials can be compared, by name."""
    settings = {
        f"{title}.{key}": value for title, table in space.settings.to_dict().items() for key, value in table.items()
    }
    for machine in ("data.data_dir", "training.threads"):
        del settings[machine]
    settings["data.dataset"] = Path(settings["data.dataset"]).name  # machines may keep it in different folders
    assert data.validation is not None
    return {
        "objective": "validation accuracy",
        "search": search,
        **settings,
        **{f"space {name}": axis for name, axis in space.to_dict().items()},
        "training images": len(data.training[0]),
        "validation images": len(data.validation[0]),
        "shape of an image": data.training[0].shape[1:],
        "checksum of the labels": zlib.crc32(data.validation[1].tobytes(), zlib.crc32(data.training[1].tobytes())),
    }


def release(study: optuna.Study) -> None:
    """Trials whose process has died are interrupted ones from now on. A journal does not know them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # called experimental
        optuna.storages.fail_stale_trials(study)


def trials(study: optuna.Study, space: Space) -> tuple[Trial, ...]:
    """All trials of a study, of whatever process."""
    return tuple(trial(each, space) for each in study.get_trials(deepcopy=False))


def trial(found: FrozenTrial, space: Space) -> Trial:
    """A trial as the rest of fastnn knows it."""
    values, attributes = found.intermediate_values, found.user_attrs
    result: dict[str, Any] = attributes.get(RESULT, {})
    accuracy = max(values.values(), default=None)
    epoch = None if accuracy is None else 1 + min(step for step in values if values[step] == accuracy)
    began = found.datetime_start
    seconds = 0.0 if began is None else ((found.datetime_complete or datetime.now()) - began).total_seconds()
    return Trial(
        number=found.number,
        state=_state(found),
        point=point(space, found.params),
        accuracy=accuracy,
        loss=result.get("loss"),
        epoch=result.get("epoch", epoch),
        epochs=len(values),
        seconds=seconds,
        parameters=result.get("parameters"),
        test_accuracy=result.get("test_accuracy"),
        reason=attributes.get(REASON, ""),
    )


def _state(found: FrozenTrial) -> State:
    if found.state == TrialState.PRUNED:
        outcome: State = found.user_attrs.get(OUTCOME, "pruned")
        return outcome
    if found.state == TrialState.COMPLETE:
        return "complete"
    return "interrupted" if found.state == TrialState.FAIL else "running"


def _opened(url: str | None) -> BaseStorage:
    if url is None:
        return InMemoryStorage()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # heartbeats and journals are called experimental
        if url.startswith(JOURNAL):
            from optuna.storages.journal import JournalFileBackend

            try:
                return JournalStorage(JournalFileBackend(url.removeprefix(JOURNAL)))
            except OSError as error:
                raise ConnectionError(f"tune: the storage {url} cannot be used: {error.strerror or error}") from error
        options = {"connect_args": {"timeout": _PATIENCE}} if url.startswith("sqlite") else {}
        for left in reversed(range(_TRIES)):
            try:
                return RDBStorage(url, options, heartbeat_interval=_HEARTBEAT, grace_period=_SILENCE)
            except sqlalchemy.exc.DatabaseError as error:
                # Two processes that make the same tables: the slower one looks again. PostgreSQL says that a row, a
                # table or a type is there, in the server's language; SQLite says so as it says all else.
                there = isinstance(error, (sqlalchemy.exc.IntegrityError, sqlalchemy.exc.ProgrammingError))
                if not left or not (there or "already" in str(error)):
                    raise
                time.sleep(0.2)
    raise AssertionError("the last try returns or raises")


def shown(url: str | None) -> str:
    """A storage in an error's words."""
    if url is None or url.startswith(JOURNAL):
        return url or "memory"
    return str(sqlalchemy.engine.make_url(url).render_as_string(hide_password=True))
