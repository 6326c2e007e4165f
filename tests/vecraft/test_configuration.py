"""Layers of configuration, and what is said about values that are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from vecraft.configuration import ConfigurationError, Loaded, load
from vecraft.settings import Settings, doubtful_keys, unmet, without_effect


def read(directory: Path, environ: dict[str, str] | None = None, config_path: Path | None = None) -> Loaded:
    return load(directory=directory, environ=environ or {}, config_path=config_path)


def write(directory: Path, name: str, text: str) -> Path:
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_without_files_and_variables_the_defaults_apply_without_a_warning(tmp_path: Path) -> None:
    loaded = read(tmp_path)
    assert loaded.settings == Settings()
    assert (loaded.settings.service.http_port, loaded.settings.storage.storage_path) == (6333, "./storage")
    assert not loaded.warnings


def test_each_layer_wins_over_the_one_before(tmp_path: Path) -> None:
    port = "service:\n  http_port: {}\n"
    steps: list[tuple[str, str]] = [("config", "7001"), ("development", "7002"), ("local", "7003")]
    for stem, value in steps:
        write(tmp_path, f"config/{stem}.yaml", port.format(value))
        assert read(tmp_path).settings.service.http_port == int(value)
    extra = write(tmp_path, "extra.yaml", port.format(7004))
    assert read(tmp_path, config_path=extra).settings.service.http_port == 7004
    environ = {"QDRANT__SERVICE__HTTP_PORT": "7005"}
    assert read(tmp_path, environ, extra).settings.service.http_port == 7005
    environ["VECRAFT__SERVICE__HTTP_PORT"] = "7006"
    assert read(tmp_path, environ, extra).settings.service.http_port == 7006


def test_layers_merge_key_by_key(tmp_path: Path) -> None:
    write(tmp_path, "config/config.yaml", "service:\n  host: 127.0.0.1\n  http_port: 7001\nstorage:\n")
    write(tmp_path, "config/production.yaml", "service:\n  http_port: 7002\n")
    service = read(tmp_path, {"RUN_MODE": "production"}).settings.service
    assert (service.host, service.http_port) == ("127.0.0.1", 7002)


def test_variables_reach_nested_keys_whatever_their_case(tmp_path: Path) -> None:
    environ = {
        "QDRANT__STORAGE__OPTIMIZERS__DEFAULT_SEGMENT_NUMBER": "3",
        "qdrant__service__enable_cors": "false",
        "QDRANT__STORAGE__OPTIMIZERS__INDEXING_THRESHOLD_KB": "77",
        "QDRANT__STORAGE__COLLECTION__VECTORS__ON_DISK": "true",
    }
    settings = read(tmp_path, environ).settings
    assert settings.storage.optimizers.default_segment_number == 3
    assert settings.storage.optimizers.indexing_threshold == 77
    assert settings.service.enable_cors is False


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("config/config.json", '{"service": {"http_port": 7001}}'),
        ("config/config.toml", "[service]\nhttp_port = 7001\n"),
        ("config/config.yml", "service: {http_port: 7001}"),
    ],
)
def test_files_may_be_json_toml_or_yaml(tmp_path: Path, name: str, text: str) -> None:
    write(tmp_path, name, text)
    assert read(tmp_path).settings.service.http_port == 7001


def test_a_wrong_type_names_key_value_source_and_what_was_expected(tmp_path: Path) -> None:
    write(tmp_path, "config/config.yaml", "service:\n  http_port: soon\n  enable_cors: [1]\n")
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path, {"QDRANT__STORAGE__WAL__WAL_CAPACITY_MB": "big"})
    text = str(caught.value)
    assert "service.http_port = 'soon' (config/config.yaml) must be a whole number" in text
    assert "service.enable_cors = [1] (config/config.yaml) must be true or false" in text
    assert (
        "storage.wal.wal_capacity_mb = 'big' (variable QDRANT__STORAGE__WAL__WAL_CAPACITY_MB) "
        "must be a whole number" in text
    )


def test_a_section_that_is_a_scalar_is_a_wrong_type(tmp_path: Path) -> None:
    write(tmp_path, "config/config.yaml", "service: 6333\n")
    with pytest.raises(ConfigurationError, match=r"service = 6333 .* must be a section"):
        read(tmp_path)


def test_a_value_out_of_bounds_is_reported_and_the_default_used(tmp_path: Path) -> None:
    loaded = read(tmp_path, {"QDRANT__SERVICE__HTTP_PORT": "70000"})
    assert loaded.settings.service.http_port == 6333
    assert "service.http_port = '70000' (variable QDRANT__SERVICE__HTTP_PORT)" in loaded.warnings[0]


def test_an_unknown_key_is_reported_with_the_nearest_known_one(tmp_path: Path) -> None:
    write(tmp_path, "config/config.yaml", "service:\n  htpp_port: 1\n")
    (warning,) = read(tmp_path).warnings
    assert "service.htpp_port (config/config.yaml)" in warning
    assert "service.http_port" in warning


def test_numbers_serve_as_texts_where_texts_are_wanted(tmp_path: Path) -> None:
    write(tmp_path, "config/config.yaml", "service:\n  api_key: 12345\n")
    assert read(tmp_path).settings.service.api_key == "12345"


@pytest.mark.parametrize("text", ["- a\n- b\n", "a: [\n"])
def test_a_file_that_is_not_a_map_of_sections_is_refused(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, "odd.yaml", text)
    with pytest.raises(ConfigurationError, match=r"odd\.yaml"):
        read(tmp_path, config_path=path)


def test_a_missing_file_of_the_flag_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="does not exist"):
        read(tmp_path, config_path=tmp_path / "nowhere.yaml")


@pytest.mark.parametrize(
    "variables",
    [
        {"SERVICE__ENFORCE_INTERNAL_AUTH": "true"},
    ],
)
def test_what_this_version_does_not_have_is_refused_rather_than_ignored(
    tmp_path: Path, variables: dict[str, str]
) -> None:
    settings = read(tmp_path, {f"QDRANT__{name}": value for name, value in variables.items()}).settings
    (reason,) = unmet(settings)
    assert next(iter(variables)).lower().replace("__", ".") in reason


@pytest.mark.parametrize(
    ("variables", "doubts"),
    [
        ({"API_KEY": "k" * 32, "ALT_API_KEY": "", "JWT_RBAC": "true"}, ["service.alt_api_key is empty"]),
        ({"JWT_RBAC": "true", "READ_ONLY_API_KEY": "r" * 16}, ["service.jwt_rbac has no effect"]),
        ({"JWT_RBAC": "true", "API_KEY": "k" * 16}, ["service.api_key signs tokens, but has fewer"]),
        ({"API_KEY": "short"}, ["service.api_key has fewer than 16 bytes"]),
        ({"READ_ONLY_API_KEY": "k" * 15}, ["service.read_only_api_key has fewer than 16 bytes"]),
        ({"API_KEY": "k" * 16}, []),
    ],
)
def test_what_keys_do_not_do_is_warned_about_without_showing_them(
    tmp_path: Path, variables: dict[str, str], doubts: list[str]
) -> None:
    environ = {f"QDRANT__SERVICE__{name}": value for name, value in variables.items()}
    found = doubtful_keys(read(tmp_path, environ).settings.service)
    assert [text[: len(doubt)] for text, doubt in zip(found, doubts, strict=True)] == doubts
    assert not any("kkk" in text or "'short'" in text for text in found)


def test_what_only_a_cluster_heeds_is_warned_about_without_one(tmp_path: Path) -> None:
    environ = {
        "QDRANT__STORAGE__NODE_TYPE": "Listener",
        "VECRAFT__CLUSTER__ZONE": "east",
        "QDRANT__CLUSTER__P2P__ENABLE_TLS": "true",
    }
    settings = read(tmp_path, environ).settings
    assert not unmet(settings)
    assert [text.split()[0] for text in without_effect(settings)] == [
        "storage.node_type",
        "cluster.zone",
        "cluster.p2p.enable_tls",
    ]
    with_a_cluster = read(tmp_path, {**environ, "QDRANT__CLUSTER__ENABLED": "true"}).settings
    assert not without_effect(with_a_cluster)
    assert with_a_cluster.cluster.zone == "east"
