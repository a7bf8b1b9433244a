"""Settings: where they come from, what is refused, and that the document is up to date."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest

from boneage_node.net.addresses import DESTINATION_CHARACTERS_MAX
from boneage_node.settings import (
    ENVIRONMENT_PREFIX,
    SettingsError,
    load_log_settings,
    load_settings,
    unknown_variables,
)
from boneage_node.settings.loading import CONFIG_VARIABLE
from boneage_node.settings.settings import FIELDS, FORMER_NAMES
from boneage_node.settings.suggestions import SYNONYMS, nearest
from boneage_node.settings.table import settings_markdown
from boneage_node.store.tables import DESTINATION_LENGTH

DOCUMENT = Path(__file__).parents[3] / "docs" / "settings.md"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in os.environ:
        if variable.startswith(ENVIRONMENT_PREFIX):
            monkeypatch.delenv(variable)


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_document_is_what_the_code_says() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == settings_markdown()


def test_every_setting_has_a_meaning() -> None:
    assert [name for name, field in FIELDS.items() if not field.description] == []


def test_flag_wins_over_environment_wins_over_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = '[listening]\nae_title = "FILE"\nport = 1\nidle_seconds = 3\n'
    monkeypatch.setenv("BONEAGE_LISTENING_AE_TITLE", "ENVIRONMENT")
    monkeypatch.setenv("BONEAGE_LISTENING_PORT", "2")
    flags = {"ae_title": "FLAG", "port": None}
    listening = load_settings(write(tmp_path / "node.toml", text), listening=flags).listening
    assert (listening.ae_title, listening.port, listening.idle_seconds) == ("FLAG", 2, 3.0)


def test_names_of_0_1_0_still_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = write(tmp_path / "node.toml", 'ae_title = "FILE"\nport = 1\njob_max_attempts = 7\n')
    monkeypatch.setenv("BONEAGE_PORT", "2")
    monkeypatch.setenv("BONEAGE_ALLOWED_AE_TITLES", "CT1, DX_2")
    monkeypatch.setenv("BONEAGE_REQUEST_COMMITMENT", "true")
    settings = load_settings(config)
    assert (settings.listening.ae_title, settings.listening.port) == ("FILE", 2)
    assert settings.listening.allowed_ae_titles == ("CT1", "DX_2")
    assert settings.reading.max_attempts == 7
    assert settings.commitment.request
    assert unknown_variables() == []


def test_a_former_name_wins_over_a_source_of_less_precedence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write(tmp_path / "node.toml", "[listening]\nport = 1\n")
    monkeypatch.setenv("BONEAGE_PORT", "2")
    assert load_settings(config).listening.port == 2


def test_waits_are_those_of_every_connection(tmp_path: Path) -> None:
    caller = load_settings(write(tmp_path / "node.toml", "[waits]\nanswer_seconds = 900\n")).caller
    assert caller.waits.answer_seconds == 900
    assert caller.waits.brief.answer_seconds == caller.waits.connect_seconds == 30
    assert caller.waits.retrieving.answer_seconds == caller.waits.retrieve_seconds == 600


def test_every_former_name_is_of_a_setting_and_none_is_of_two() -> None:
    assert set(FORMER_NAMES.values()) <= set(FIELDS)
    assert len(set(FORMER_NAMES.values())) == len(FORMER_NAMES)


def test_a_setting_under_both_of_its_names_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write(tmp_path / "node.toml", "port = 1\n[listening]\nport = 1\n")
    with pytest.raises(SettingsError, match=r"'port' and 'listening.port' \(both from .*node.toml\)"):
        load_settings(config)
    monkeypatch.setenv("BONEAGE_PORT", "2")
    monkeypatch.setenv("BONEAGE_LISTENING_PORT", "2")
    with pytest.raises(SettingsError, match="two names of one setting"):
        load_settings()


def test_environment_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CONFIG_VARIABLE, str(write(tmp_path / "node.toml", "[listening]\nport = 104\n")))
    assert load_settings().listening.port == 104


def test_list_from_environment_and_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BONEAGE_LISTENING_ALLOWED_AE_TITLES", "CT1, DX_2")
    config = write(tmp_path / "node.toml", '[listening]\nallowed_addresses = ["10.0.0.7/24", "::1"]\n')
    listening = load_settings(config).listening
    assert listening.allowed_ae_titles == ("CT1", "DX_2")
    assert listening.allowed_addresses == ("10.0.0.0/24", "::1/128")


def test_default_data_dir_is_xdg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    settings = load_settings().storage
    assert settings.data_dir == tmp_path / "boneage-node"
    assert settings.database == f"sqlite:///{tmp_path}/boneage-node/boneage.sqlite3"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load_settings().storage.data_dir == tmp_path / ".local" / "share" / "boneage-node"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("prot = 104", "sets 'prot', which is no setting. Did you mean 'listening.port'?"),
        ("[listening]\nprot = 104", "'listening.prot', which is no setting. Did you mean 'listening.port'?"),
        ("[listenig]\nport = 104", "Did you mean 'listening.port'?"),
        ("[reading]\nport = 104", "Did you mean 'listening.port'?"),
        ("listening = 104", "which is a table: write [listening] above its settings"),
        ('sendto = ["A@b:1"]', "Did you mean 'delivery.send_to'?"),
        ("xyzzy = 1", "All settings: python -m boneage_node.settings.table."),
        ('destinations = ["A@b:1"]', "Did you mean 'delivery.send_to'?"),
        ('[delivery]\ndestinations = ["A@b:1"]', "Did you mean 'delivery.send_to'?"),
        ('allow_ae = ["A"]', "Did you mean 'listening.allowed_ae_titles'?"),
        ('[listening]\naet = "A"', "Did you mean 'listening.ae_title'?"),
        ("[deliveries]\nmax_attempts = 1", "Did you mean 'delivery.max_attempts'?"),
        ("attempts = 1", "'reading.max_attempts' or 'delivery.max_attempts' or 'commitment.max_attempts'?"),
        ("[listening]\nprt = 104", "Did you mean 'listening.port'?"),
        ("job_max_atempts = 1", "Did you mean 'reading.max_attempts'?"),
        ('[logs]\nfile = "log"', "no setting. [logs] has format, level."),
        ("port = 70000", "The setting port 70000 (from "),
        ("[listening]\nport = 70000", "The setting listening.port 70000 (from "),
        ('port = "104x"', "it should be a valid integer"),
        ("port = ", "is not TOML"),
        ('ae_title = "SEVENTEEN_LETTERS"', "an AE title is 1 to 16 printable"),
        ('ae_title = "A\\\\B"', "without a backslash"),
        ('ae_title = ""', "an AE title is 1 to 16 printable"),
        ('send_to = ["PACS:104"]', "'PACS:104' is not a destination such as"),
        ('send_to = ["PACS@host:0"]', "is not a destination such as"),
        ('send_to = ["https://"]', "'https://' is not a URL such as https://pacs.example/dicom-web"),
        ('send_to = ["https://pacs:99999/"]', "is not a URL such as"),
        ('send_to = ["https://pacs/dicom-web/studies"]', "leave /studies out"),
        ('send_to = ["https://pacs/dicom-web?x=1"]', "without ? and #"),
        ('fhir_to = ["fhir.example/r4"]', "is not the base URL of a FHIR server such as"),
        ('fhir_to = ["https://me:secret@fhir.example"]', "put them into the netrc file"),
        (f'fhir_to = ["/{"x" * 300}"]', "is not the base URL"),
        (f'fhir_to = ["https://{"x" * 300}"]', "is not a URL such as"),
        ('allowed_addresses = ["10.0.0.300"]', "'10.0.0.300' is not an address or network"),
        ('device = ["gpu"]', "'gpu' is not a device: auto, cpu or cuda:N"),
        ("device = []", "at least 1 item"),
        ('database_url = "mysql://h/d"', "a database is sqlite:"),
        ("lease_seconds = 0", "greater than or equal to 1"),
        ('sex_unknown = "girl"', "it should be 'refuse' or 'both'"),
    ],
)
def test_a_mistake_in_the_file_is_a_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    config = write(tmp_path / "node.toml", text)
    with pytest.raises(SettingsError) as caught:
        load_settings(config)
    assert sentence in str(caught.value)


def test_fhir_goes_to_servers_and_folders() -> None:
    settings = load_settings(
        delivery={"fhir_to": ["https://fhir.example/r4/", " /var/lib/bone-ages/ "]}
    ).delivery
    assert [str(destination) for destination in settings.fhir_to] == [
        "https://fhir.example/r4",
        "/var/lib/bone-ages",
    ]


def test_the_database_has_room_for_every_destination() -> None:
    assert DESTINATION_CHARACTERS_MAX == DESTINATION_LENGTH


def test_unknown_sex_is_refused_unless_told_otherwise() -> None:
    assert load_settings().reading.sex_unknown == "refuse"
    assert load_settings(reading={"sex_unknown": "both"}).reading.sex_unknown == "both"


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    config = write(tmp_path / "node.toml", "prot = 1\nquite_seconds = 2\n")
    with pytest.raises(SettingsError) as caught:
        load_settings(config)
    assert "'listening.port'" in str(caught.value)
    assert "'reading.quiet_seconds'" in str(caught.value)


def test_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        load_settings(tmp_path / "nowhere.toml")


def test_error_says_where_the_value_came_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BONEAGE_LISTENING_PORT", "many")
    with pytest.raises(SettingsError, match="BONEAGE_LISTENING_PORT 'many' \\(from the environment\\)"):
        load_settings()


def test_password_in_a_database_url_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BONEAGE_STORAGE_DATABASE_URL", "mysql://node:sesame@h/d")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert "sesame" not in str(caught.value)


def test_misspelt_variable_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BONEAGE_AETITLE", "X")
    assert unknown_variables() == [
        "The environment variable BONEAGE_AETITLE is no setting and has no effect. "
        "Did you mean BONEAGE_LISTENING_AE_TITLE?"
    ]


def test_synonyms_are_of_settings_and_are_no_names_themselves() -> None:
    names = {name.partition(".")[2] for name in FIELDS} | set(FORMER_NAMES)
    words = [word for synonyms in SYNONYMS.values() for word in synonyms.split()]
    assert set(SYNONYMS) <= set(FIELDS)
    assert len(words) == len(set(words))
    assert names.isdisjoint(words)


@pytest.mark.parametrize("name", [*FIELDS, *FORMER_NAMES])
def test_a_letter_too_few_leads_to_the_setting(name: str) -> None:
    middle = name.rpartition(".")[0] + "." if "." in name else ""
    word = name.removeprefix(middle)
    assert FORMER_NAMES.get(name, name) in nearest(middle + word[:1] + word[2:] if len(word) > 3 else name)


def test_a_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    (tmp_path / "node.toml").write_bytes(b"\xef\xbb\xbf[listening]\r\nport = 104\r\n")
    assert load_settings(tmp_path / "node.toml").listening.port == 104


def test_a_file_in_another_encoding_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "node.toml").write_bytes("[listening]\n# Geräte\nport = 104\n".encode("latin-1"))
    with pytest.raises(SettingsError, match="line 2 is not in UTF-8"):
        load_settings(tmp_path / "node.toml")


def test_the_form_of_the_log_is_known_where_other_settings_are_wrong(tmp_path: Path) -> None:
    config = write(tmp_path / "node.toml", 'prot = 1\n[logs]\nformat = "json"\n[listening]\nport = "many"\n')
    assert load_log_settings(config).format == "json"
    assert load_log_settings(config, logs={"format": "console"}).format == "console"
    for bad in ('[logs]\nformat = "xml"', "port = "):
        assert load_log_settings(write(config, bad)).format == "auto"
    assert load_log_settings(tmp_path / "nowhere.toml").format == "auto"


def test_another_process_gets_the_same_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings(listening={"port": 104}, delivery={"send_to": ["PACS@[::1]:4242"]})
    monkeypatch.setenv("BONEAGE_LISTENING_AE_TITLE", "CHANGED")
    assert pickle.loads(pickle.dumps(settings)) == settings


def test_a_destination_may_be_a_dicomweb_service() -> None:
    settings = load_settings(
        delivery={"send_to": ["PACS@host:104", " https://pacs.example:8443/dicom-web/ "]}
    ).delivery
    assert list(map(str, settings.send_to)) == [
        "PACS@host:104",
        "https://pacs.example:8443/dicom-web",
    ]


def test_a_password_in_a_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(SettingsError, match="put them into the netrc file") as caught:
        load_settings(delivery={"send_to": ["https://alice:S3CRET@pacs.example/dicom-web"]})
    assert "S3CRET" not in str(caught.value)
