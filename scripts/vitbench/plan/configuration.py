"""The configuration: checked as a whole, before anything costly, against its schema and against what is defined."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from vitbench.cells import ROLES, SIZES, repeats_of
from vitbench.errors import UserError
from vitbench.files import HOME
from vitbench.frameworks import FRAMEWORKS
from vitbench.frameworks.declaration import Framework
from vitbench.machine import machine_id
from vitbench.plan import workers

SCHEMA = HOME / "config" / "schema" / "config.schema.yaml"
DEFINITIONS = ("datasets", "models", "variants")
# Keys that only `pack`, `import`, `compare`, `plan` and `classify` read, which say nothing about what is measured: key
# → what a run's own configuration says of it.
PACKING = dict.fromkeys(
    ("campaign", "records", "baseline_records", "candidate_records", "baseline_campaign", "candidate_campaign")
    + ("images", "deadline_hours", "variant", "batch_size", "out", "most_refused", "part_images")
) | {"other_machine": False, "fail_on": []}
# Images of `sample` where `photos` names a folder.
OWN_SAMPLE = 32
# JSON Schema takes 3.0 for an integer. range() refuses it, and in a path it would be another number than 3.
VALIDATOR = jsonschema.validators.extend(
    jsonschema.Draft202012Validator,
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
    ),
)


@cache  # to read it takes longer than all else that is done with a configuration
def schema() -> dict[str, Any]:
    """The JSON schema of the configuration: the file's, with the settings that each framework declares."""
    found = yaml.safe_load(SCHEMA.read_text())
    found["properties"]["define"]["properties"]["variants"]["properties"] = {
        name: {
            "type": "object",
            "propertyNames": {"$ref": "#/$defs/name"},
            "additionalProperties": _settings(framework),
        }
        for name, framework in FRAMEWORKS.items()
    }
    return found


def _settings(framework: Framework) -> dict[str, Any]:
    """The schema of a variant's definition: the framework's own settings, and how other platforms are served."""
    served = {
        "platforms": {"type": "array", "items": {"type": "string"}},
        "otherwise": {"$ref": "#/$defs/variant"},
    }
    own = framework.settings
    return own | {"type": "object", "additionalProperties": False, "properties": own["properties"] | served}


def load(path: Path) -> dict[str, Any]:
    """Read one configuration file, merged over the embedded default as Snakemake does it, and resolve it.

    Raises:
        UserError: the file is missing or not YAML, or the configuration is not valid.
    """
    return resolve(read(path))


def read(path: Path) -> dict[str, Any]:
    """One configuration file, merged over the embedded default as Snakemake does it, as it stands there.

    Raises:
        UserError: the file is missing, not YAML, or not a list of keys.
    """
    config = yaml.safe_load((HOME / "config" / "config.yaml").read_text())
    check_keys(path)
    given = _read(path, yaml.SafeLoader) or {}
    if not isinstance(given, dict):
        raise UserError(f"the configuration {path} is not a list of `key: value`; see config/README.md")
    return _merged(config, given)


def with_blocks(config: dict[str, Any], blocks: int) -> dict[str, Any]:
    """The configuration with so many full repeats, those of the other roles left as they are."""
    given = config["repeats"]
    by_role = given if isinstance(given, dict) else dict.fromkeys(ROLES, given)
    return config | {"repeats": by_role | {"full": blocks}}


def check_keys(path: Path) -> None:
    """Raise UserError where a key stands twice in a file: YAML would take the last one in silence."""
    _read(path, _Once)


def _read(path: Path, loader: type[yaml.SafeLoader]) -> Any:
    try:
        with open(path, encoding="utf-8") as handle:
            return yaml.load(handle, loader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"cannot read the configuration {path}: {' '.join(str(error).split())}") from error


class _Once(yaml.SafeLoader):
    """A loader that refuses a key that stands twice in one map."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                place = f"{self.name}, line {key.start_mark.line + 1}"
                raise UserError(f"{key.value}: stands twice in the configuration ({place}); remove one")
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def resolve(config: dict[str, Any]) -> dict[str, Any]:
    """A checked copy of a configuration in which `machine: auto` has its value.

    Raises:
        UserError: a key is unknown, missing or of the wrong type, or names something that is not defined.
    """
    check_schema(config)
    here = machine_id(config["devices"]) if config["machine"] == "auto" else config["machine"]
    resolved = config | {"machine": here}
    resolved |= PACKING
    if isinstance(config["batch_sizes"], dict) and (
        without := [device for device in config["devices"] if device not in config["batch_sizes"]]
    ):
        raise UserError(f"batch_sizes: nothing for device {without[0]}; add it, or leave it out of `devices`")
    several = [sizes for sizes in _batch_size_lists(config["batch_sizes"]) if len(sizes) > 1]
    if several and repeats_of(config["repeats"], "sample") == 0:
        raise UserError(
            f"repeats: sample is 0, and batch_sizes names {', '.join(map(str, several[0]))}: without a sweep nothing "
            "tells which is best; name one, or sweep"
        )
    if config["datasets"].get(SIZES) and isinstance(config["repeats"], dict) and SIZES not in config["repeats"]:
        raise UserError("repeats: nothing for the role `sizes`, which `datasets` names; add sizes: 3, or one number")
    workers.check(config)
    if config["photos"]:
        resolved |= _own_photographs(Path(config["photos"]).expanduser(), config["define"])
    if "/" in config["model"]:
        resolved |= _own_model(Path(config["model"]).expanduser(), resolved["define"])
    if config["baseline"] not in config["frameworks"]:
        raise UserError(f"baseline: {config['baseline']} is not among `frameworks` ({', '.join(config['frameworks'])})")
    # Always in one order: Snakemake puts what `--config` names first, and takes another order for another content.
    return {key: resolved[key] for key in schema()["properties"]}


def retyped(config: dict[str, Any]) -> dict[str, Any]:
    """The keys whose values are words where the schema wants numbers or truths, with these in their place.

    Snakemake hands on what `--config` puts into lists and maps as words: `batch_sizes=[1,8]` comes as ["1", "8"], and
    `profile=false` as "false". What fits the schema is left as it is.
    """
    validator = VALIDATOR(schema())
    found = {}
    for key, allowed in validator.schema["properties"].items():
        check = validator.evolve(schema=allowed)
        if key in config and not check.is_valid(config[key]) and check.is_valid(plain := _plain(config[key])):
            found[key] = plain
    return found


def _plain(value: Any) -> Any:
    """A value whose words are read as YAML reads them."""
    match value:
        case str():
            try:
                return yaml.safe_load(value)
            except yaml.YAMLError:
                return value
        case list():
            return [_plain(one) for one in value]
        case dict():
            return {key: _plain(one) for key, one in value.items()}
    return value


def _batch_size_lists(batch_sizes: list[int] | dict[str, list[int]]) -> list[list[int]]:
    return list(batch_sizes.values()) if isinstance(batch_sizes, dict) else [batch_sizes]


def fallback() -> dict[str, Any]:
    """A configuration that works on any machine, for runs that measure nothing: the default's with one variant."""
    default = yaml.safe_load((HOME / "config" / "config.yaml").read_text())
    anywhere = "huggingface/pipeline"
    return default | {"frameworks": [anywhere], "baseline": anywhere, "machine": "auto", "photos": None, "define": {}}


def _own_photographs(folder: Path, define: dict[str, Any]) -> dict[str, Any]:
    """The keys of a configuration whose data sets are one folder: some of it as sample, all of it as full."""
    if not folder.is_dir():
        raise UserError(f"photos: {folder} is no folder; name one that holds images")
    place = {"kind": "folder", "folder": str(folder.resolve())}
    own = {"own-photos-sample": place | {"at_most": OWN_SAMPLE, "seed": 1}, "own-photos": place}
    return {
        "datasets": {"sample": "own-photos-sample", "full": "own-photos"},
        "define": define | {"datasets": (define.get("datasets") or {}) | own},
    }


def _own_model(folder: Path, define: dict[str, Any]) -> dict[str, Any]:
    """The keys of a configuration whose model is the checkpoint in a folder."""
    if not folder.is_dir():
        raise UserError(
            f"model: {folder} is no folder; name one that holds a checkpoint, or a model of resources/models.yaml or "
            "`define` (there goes one of a hub, with its commit)"
        )
    own = {"own-model": {"kind": "folder", "folder": str(folder.resolve())}}
    return {"model": "own-model", "define": define | {"models": (define.get("models") or {}) | own}}


def definitions(config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """All definitions, by kind (datasets, models, variants) and name: those of resources/ and the user's own.

    Raises:
        UserError: the user defines a name that resources/ has already.
    """
    found = {}
    for kind in DEFINITIONS:
        path = HOME / "resources" / f"{kind}.yaml"
        shipped, own = yaml.safe_load(path.read_text()), config["define"].get(kind) or {}
        if kind == "variants":
            found[kind] = {
                framework: _without_clash(kind, variants, own.get(framework) or {})
                for framework, variants in shipped.items()
            }
        else:
            found[kind] = _without_clash(kind, shipped, own)
    return found


def _without_clash(kind: str, shipped: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    if clash := shipped.keys() & own.keys():
        raise UserError(f"define: {kind}: {min(clash)} is in resources/{kind}.yaml already; take another name")
    return shipped | own


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        nested = isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = _merged(base[key], value) if nested else value
    return merged


def check_schema(config: dict[str, Any]) -> None:
    """Raise a UserError for an unknown key, a missing one, or a value that may not be."""
    errors = sorted(VALIDATOR(schema()).iter_errors(config), key=lambda e: str(e.json_path))
    if not errors:
        return
    error = jsonschema.exceptions.best_match(errors)
    place = error.json_path.removeprefix("$").lstrip(".") or "configuration"
    if error.validator == "additionalProperties":
        known = ", ".join(error.schema["properties"])
        unknown = ", ".join(sorted(str(key) for key in error.instance if key not in error.schema["properties"]))
        raise UserError(f"{place}: unknown key {unknown}; known are {known} (see config/README.md)")
    if error.validator == "not":  # of `not: {}`; with `false` jsonschema would not say which key it is
        raise UserError(f"{place}: does not go with the other keys there; leave it out (see config/README.md)")
    hint = error.schema.get("description")
    raise UserError(f"{place}: {error.message}" + (f" ({hint})" if hint else "") + "; see config/README.md")
