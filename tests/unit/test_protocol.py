"""Measuring sources change only together with a decision about what that does to timings."""

import json

import protocol


def test_the_measuring_sources_are_those_of_the_lock():
    assert not protocol.changed(), (
        f"{protocol.changed()} changed: raise `protocol` in config/config.yaml if timings change with it, then confirm "
        "with `python tests/protocol.py --no-effect-on-timing`"
    )


def test_an_edit_is_noticed_and_a_raised_protocol_must_be_confirmed(tmp_path, monkeypatch):
    monkeypatch.setattr(protocol, "LOCK", tmp_path / "protocol.lock")
    now = protocol.current()
    now["sources"]["scripts/measure.py"] = "0" * 64
    protocol.LOCK.write_text(json.dumps(now))
    assert protocol.changed() == ["scripts/measure.py"]
    now["protocol"] -= 1
    protocol.LOCK.write_text(json.dumps(now))
    assert protocol.changed() == ["protocol"]
