"""Settings: where they come from, what is refused, and that the document is up to date."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from boneage_node.net.addresses import DESTINATION_CHARACTERS_MAX
from boneage_node.settings import Settings, SettingsError, load_settings, unknown_variables
from boneage_node.settings.table import settings_markdown
from boneage_node.store.tables import DESTINATION_LENGTH

DOCUMENT = Path(__file__).parents[3] / "docs" / "settings.md"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"BONEAGE_{name.upper()}", raising=False)
    monkeypatch.delenv("BONEAGE_CONFIG", raising=False)


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_document_is_what_the_code_says() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == settings_markdown()


def test_every_setting_has_a_meaning() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_flag_wins_over_environment_wins_over_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = write(tmp_path / "node.toml", 'ae_title = "FILE"\nport = 1\nquiet_seconds = 3\n')
    monkeypatch.setenv("BONEAGE_AE_TITLE", "ENVIRONMENT")
    monkeypatch.setenv("BONEAGE_PORT", "2")
    settings = load_settings(config, ae_title="FLAG", port=None)
    assert (settings.ae_title, settings.port, settings.quiet_seconds) == ("FLAG", 2, 3.0)


def test_environment_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BONEAGE_CONFIG", str(write(tmp_path / "node.toml", "port = 104\n")))
    assert load_settings().port == 104


def test_list_from_environment_and_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BONEAGE_ALLOWED_AE_TITLES", "CT1, DX_2")
    config = write(tmp_path / "node.toml", 'allowed_addresses = ["10.0.0.7/24", "::1"]\n')
    settings = load_settings(config)
    assert settings.allowed_ae_titles == ("CT1", "DX_2")
    assert settings.allowed_addresses == ("10.0.0.0/24", "::1/128")


def test_default_data_dir_is_xdg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    settings = load_settings()
    assert settings.data_dir == tmp_path / "boneage-node"
    assert settings.database == f"sqlite:///{tmp_path}/boneage-node/boneage.sqlite3"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load_settings().data_dir == tmp_path / ".local" / "share" / "boneage-node"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("prot = 104", "sets 'prot', which is no setting. Did you mean 'port'?"),
        ('sendto = ["A@b:1"]', "Did you mean 'send_to'?"),
        ("xyzzy = 1", "See docs/settings.md"),
        ("port = 70000", "The setting port 70000 (from "),
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
        ('fhir_to = ["fhir.example/r4"]', "is neither the base URL of a FHIR server such as"),
        ('fhir_to = ["https://me:secret@fhir.example"]', "put them into the netrc file"),
        (f'fhir_to = ["/{"x" * 300}"]', "is neither the base URL"),
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
    settings = load_settings(fhir_to=["https://fhir.example/r4/", " /var/lib/bone-ages/ "])
    assert settings.fhir_to == ("https://fhir.example/r4", "/var/lib/bone-ages")


def test_the_database_has_room_for_every_destination() -> None:
    assert DESTINATION_CHARACTERS_MAX == DESTINATION_LENGTH


def test_unknown_sex_is_refused_unless_told_otherwise() -> None:
    assert load_settings().sex_unknown == "refuse"
    assert load_settings(sex_unknown="both").sex_unknown == "both"


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    config = write(tmp_path / "node.toml", "prot = 1\nquite_seconds = 2\n")
    with pytest.raises(SettingsError) as caught:
        load_settings(config)
    assert "'port'" in str(caught.value)
    assert "'quiet_seconds'" in str(caught.value)


def test_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        load_settings(tmp_path / "nowhere.toml")


def test_error_says_where_the_value_came_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BONEAGE_PORT", "many")
    with pytest.raises(SettingsError, match="The setting port 'many' \\(from the environment\\)"):
        load_settings()


def test_password_in_a_database_url_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BONEAGE_DATABASE_URL", "mysql://node:sesame@h/d")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert "sesame" not in str(caught.value)


def test_misspelt_variable_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BONEAGE_AETITLE", "X")
    assert unknown_variables() == [
        "The environment variable BONEAGE_AETITLE is no setting. Did you mean BONEAGE_AE_TITLE?"
    ]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.9.9.9"])
def test_loopback_needs_no_allow_list(host: str) -> None:
    assert load_settings(host=host).unsafe_listening() is None


@pytest.mark.parametrize(
    "flags",
    [{}, {"allowed_ae_titles": ["A"]}, {"allowed_addresses": ["10.0.0.0/8"]}],
)
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "no.such.host.invalid"])
def test_wide_listening_without_both_lists_is_unsafe(host: str, flags: dict[str, list[str]]) -> None:
    problem = load_settings(host=host, **flags).unsafe_listening()
    assert problem is not None
    assert "allowed_ae_titles" in problem


def test_wide_listening_with_both_lists_or_said_open() -> None:
    both = load_settings(host="0.0.0.0", allowed_ae_titles=["A"], allowed_addresses=["10.0.0.0/8"])
    assert both.unsafe_listening() is None
    assert load_settings(host="0.0.0.0", open_to_all=True).unsafe_listening() is None


def test_another_process_gets_the_same_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings(port=104, send_to=["PACS@[::1]:4242"])
    monkeypatch.setenv("BONEAGE_AE_TITLE", "CHANGED")
    assert pickle.loads(pickle.dumps(settings)) == settings


def test_a_destination_may_be_a_dicomweb_service() -> None:
    settings = load_settings(send_to=["PACS@host:104", " https://pacs.example:8443/dicom-web/ "])
    assert settings.send_to == ("PACS@host:104", "https://pacs.example:8443/dicom-web")


def test_a_password_in_a_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(SettingsError, match="put them into the netrc file") as caught:
        load_settings(send_to=["https://alice:S3CRET@pacs.example/dicom-web"])
    assert "S3CRET" not in str(caught.value)
