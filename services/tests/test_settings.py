"""The environment becomes settings, or every reason why it cannot."""

from pathlib import Path

import pytest

from outcry.settings import ClusterSettings, Settings, SettingsError, described, read_settings, settings_of


def test_an_empty_environment_gives_the_defaults() -> None:
    assert read_settings({}) == Settings()


def test_variables_become_typed_values() -> None:
    settings = read_settings(
        {
            "OUTCRY_LIMITS": "BINANCE",
            "OUTCRY_PORT": "0",
            "SIMULATION_ENABLED": "false",
            "SIMULATION_ORDERS_PER_SEC": "2.5",
            "SIMULATION_SYMBOLS": "btcusd, ethusd",
        }
    )
    assert (settings.limits, settings.port, settings.simulation_enabled) == ("binance", 0, False)
    assert settings.simulation_orders_per_sec == 2.5
    assert settings.simulation_symbols == ("BTCUSD", "ETHUSD")


def test_the_command_line_wins_over_the_environment() -> None:
    assert read_settings({"OUTCRY_PORT": "9"}, port=7).port == 7
    assert read_settings({"OUTCRY_PORT": "9"}, port=None).port == 9


def test_all_problems_are_reported_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings(
            {
                "OUTCRY_PORT": "70000",
                "OUTCRY_LIMITS": "none",
                "SIMULATION_ENABLED": "perhaps",
                "OUTCRY_MICRO_BATCH_MS": "nan",
                "SIMULATION_SYMBOLS": "EURUSD",
            }
        )
    for name in ("OUTCRY_PORT", "OUTCRY_LIMITS", "SIMULATION_ENABLED", "OUTCRY_MICRO_BATCH_MS", "SIMULATION_SYMBOLS"):
        assert name in str(caught.value)


def test_a_misspelt_variable_is_named_with_the_right_one() -> None:
    with pytest.raises(SettingsError, match="SIMULATION_ENABLE is no setting; did you mean SIMULATION_ENABLED"):
        read_settings({"SIMULATION_ENABLE": "false"})


def test_variables_of_other_tools_are_left_alone() -> None:
    assert read_settings({"OUTCRY_API_SERVICE_HOST": "10.0.0.1", "OUTCRY_SHARED": "x"}) == Settings()


def test_every_setting_describes_itself() -> None:
    limits = next(each for each in described() if each.name == "OUTCRY_LIMITS")
    assert (limits.rule, limits.default) == ("one of binance, high, off", "high")
    assert all(each.rule and each.about for each in described())


def test_only_loopback_addresses_count_as_private() -> None:
    assert read_settings({}).loopback
    assert not read_settings({"OUTCRY_HOST": "0.0.0.0"}).loopback


def test_the_command_line_keeps_the_same_rules() -> None:
    with pytest.raises(SettingsError, match="--port is '99999', but must be a whole number from 0 to 65535"):
        read_settings({}, port=99999)


def test_a_cluster_says_all_that_it_misses_at_once() -> None:
    with pytest.raises(SettingsError) as told:
        read_settings({"OUTCRY_KAFKA": "127.0.0.1:9092"}, ClusterSettings)
    assert "OUTCRY_KAFKA" not in str(told.value)
    assert all(name in str(told.value) for name in ("OUTCRY_POSTGRES", "OUTCRY_REDIS_FANOUT", "OUTCRY_REDIS_STATE"))


def test_the_embedded_exchange_takes_no_offence_at_a_clusters_variables() -> None:
    assert read_settings({"OUTCRY_KAFKA": "127.0.0.1:9092", "OUTCRY_POD": "api-0"}) == Settings()


NEEDED = {"OUTCRY_KAFKA": "k:9092", "OUTCRY_REDIS_FANOUT": "redis://f", "OUTCRY_REDIS_STATE": "redis://s"}


def test_a_text_may_stand_in_a_file_as_secrets_are_mounted(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgresql://secret@db/outcry\n")
    settings = read_settings(NEEDED | {"OUTCRY_POSTGRES_FILE": str(tmp_path / "url")}, ClusterSettings)
    assert settings.postgres == "postgresql://secret@db/outcry"


def test_a_file_that_gives_no_text_is_named_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    environ = {
        "OUTCRY_POSTGRES_FILE": str(tmp_path / "away"), "OUTCRY_KAFKA_FILE": str(tmp_path / "empty"),
        "OUTCRY_TOPIC": "a", "OUTCRY_TOPIC_FILE": str(tmp_path / "away"),
    }  # fmt: skip
    with pytest.raises(SettingsError) as told:
        read_settings(environ, ClusterSettings)
    said = str(told.value)
    assert "OUTCRY_POSTGRES_FILE" in said and "No such file" in said
    assert f"OUTCRY_KAFKA_FILE is {str(tmp_path / 'empty')!r}, which is empty" in said
    assert "OUTCRY_TOPIC and OUTCRY_TOPIC_FILE are both set" in said


def test_only_texts_may_stand_in_files() -> None:
    with pytest.raises(SettingsError, match="OUTCRY_PORT_FILE is no setting"):
        read_settings({"OUTCRY_PORT_FILE": "/nowhere"})


def test_a_cluster_is_named_by_its_ledgers_address_or_by_the_file_it_is_in(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgresql://db")
    by_file = NEEDED | {"OUTCRY_POSTGRES_FILE": str(tmp_path / "url")}
    assert isinstance(settings_of(NEEDED | {"OUTCRY_POSTGRES": "postgresql://db"}, None), ClusterSettings)
    assert isinstance(settings_of(by_file, None), ClusterSettings)
    assert settings_of(by_file, "here") == Settings(data_dir="here")
    assert settings_of(NEEDED, None) == Settings()
