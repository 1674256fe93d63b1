import pytest

from werk.workflow.capture.secrets import environment_secrets, find_secrets, first_line, mask

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
SECRETS = {
    "password in a URL": [
        ("postgresql://werk:tr0ub4dor@db:5432/flights", "tr0ub4dor"),
        ("redis://:h0rse-battery@cache", "h0rse-battery"),
        ("http://u:p@ss:w0rd@host/x", "p@ss:w0rd"),
    ],
    "token in a URL": [("https://api/x?a=1&api_key=0123456789abcdef&b=2", "0123456789abcdef")],
    "bearer token": [("Authorization: Bearer abcDEF123456789012345678", "abcDEF123456789012345678")],
    "AWS access key": [("key AKIAIOSFODNN7EXAMPLE.", "AKIAIOSFODNN7EXAMPLE")],
    "AWS secret key": [
        ('aws_secret_access_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"', "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    ],
    "service token": [("token=ghp_" + "a1B2" * 9, "ghp_" + "a1B2" * 9), (f"jwt {JWT}", JWT)],
    "password in an assignment": [
        ("DB_PASSWORD = 'abc'", "abc"),
        ('password="hunter2"', "hunter2"),
        ("'api_key': 'k4-9'", "k4-9"),
        ('client_secret: str = "s3s"', "s3s"),
    ],
    "private key": [
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\n-----END RSA PRIVATE KEY-----", "MIIEpAIBAAKCAQEA"),
        ("cut off: -----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA", "b3BlbnNzaC1rZXktdjEA"),
    ],
}
CASES = [(kind, text, secret) for kind, cases in SECRETS.items() for text, secret in cases]


@pytest.mark.parametrize(("kind", "text", "secret"), CASES)
def test_a_secret_is_found_and_covered(kind: str, text: str, secret: str) -> None:
    assert kind in find_secrets(f"before {text} after")
    covered = mask(f"before {text} after")
    assert secret not in covered
    assert covered.startswith("before ")
    assert find_secrets(covered) == []
    assert first_line(f"one\n\nthree {text}") == 3
    assert first_line(covered) == 0


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://user:password@host/db",
        "url = f'postgresql://{user}:{password}@{host}'",
        "https://example.org:8080/path@version",
        "see https://example.org/a, mail a@example.org",
        "Bearer token",
        "sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "def step(key: str, token: str) -> None: ...",
        "DB_PASSWORD = os.environ['DB_PASSWORD']",
        "password = getpass()",
        "connect(password=password, api_key=None)",
        "PASSWORD = ''",
        "DB_PASSWORD=${DB_PASSWORD}",
        "password = 'changeme'",
        "SORT_KEY = 'sched_dep'",
        "PAD_TOKEN = '<pad>'",
        "HF_TOKEN_NAME = 'hub'",
        "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----",
    ],
)
def test_ordinary_text_is_left_alone(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.environ", {})
    assert find_secrets(text) == []
    assert mask(text) == text


@pytest.mark.parametrize("name", ["DB_PASSWORD", "github_token", "CLIENT_SECRET_2", "API_KEY"])
def test_values_of_secret_variables_are_covered(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "open sesame")
    assert mask("said: open sesame!") == "said: ***!"


def test_other_variables_are_no_secrets() -> None:
    others = {"KEYBOARD": "german-layout", "PWD": "/somewhere/else", "TOKENIZERS_PARALLELISM": "false", "MAX_TOKENS": "4096"}
    assert environment_secrets({**others, "EDITOR_KEY": "longer-value"}) == ["longer-value"]


def test_a_short_value_is_covered_where_it_stands_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not inside words: `abc` must not turn every `abcdef` of a traceback into stars."""
    for name, value in {"DB_PASSWORD": "abc", "B_PASSWORD": "x", "C_PASSWORD": "true", "D_SECRET": "a+b"}.items():
        monkeypatch.setenv(name, value)
    assert mask("login abc failed: 'abc', abc. DB=abc a+b") == "login *** failed: '***', ***. DB=*** ***"
    for text in ("abcdef xabc abc-d abc_d", "x is true"):
        assert mask(text) == text


def test_an_exported_short_password_is_covered_without_knowing_the_variable() -> None:
    assert mask("ran:\nexport DB_PASSWORD=abc\n") == "ran:\nexport DB_PASSWORD=***\n"


def test_given_values_are_covered_longest_first() -> None:
    assert mask("abc abcdef", values=["abc", "abcdef", ""]) == "*** ***"
    assert find_secrets("x abc", values=["abc", ""]) == ["value of a secret variable"]
