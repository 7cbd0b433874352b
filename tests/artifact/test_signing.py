"""Signatures and head statements: what they show, and to whom; by `cryptography`, and by the one file without it."""

from __future__ import annotations

import base64
import json
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from langgraph_wfstore import WfStoreSaver, wfstore_verify
from langgraph_wfstore.artifact.signing import raw_public_key, verified, verify_artifact
from langgraph_wfstore.errors import ArtifactError, WfStoreError
from langgraph_wfstore.testing.material import THREAD
from langgraph_wfstore.testing.sample_graphs import chat_graph, says_human
from langgraph_wfstore.testing.sample_threads import CONFIG, chat

KEY, OTHER = Ed25519PrivateKey.from_private_bytes(b"1" * 32), Ed25519PrivateKey.from_private_bytes(b"2" * 32)


@pytest.fixture
def saver():
    with WfStoreSaver(":memory:") as saver:
        chat(saver)
        yield saver


def pem_of(path, key=KEY, encryption=None):
    encryption = encryption or serialization.NoEncryption()
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption))
    return path


def public_pem(path, key=KEY):
    path.write_bytes(
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return path


def test_a_signature_does_not_change_the_identity(saver, tmp_path):
    thread = saver.store.thread(THREAD)
    plain = thread.export(tmp_path / "plain.wfz")
    signed = thread.export(tmp_path / "signed.wfz", sign_with=KEY)
    assert plain.identity == signed.identity and signed.signed and not plain.signed
    statement = verify_artifact(tmp_path / "signed.wfz", KEY.public_key())
    assert statement["subject"][0]["digest"]["sha256"] == signed.identity.removeprefix("sha256:")
    said = statement["predicate"]
    assert (said["head"], said["root"], said["records"]) == (signed.head, signed.root, signed.records)
    with WfStoreSaver(":memory:") as other:
        assert other.store.import_artifact(tmp_path / "signed.wfz").head == signed.head


@pytest.mark.parametrize("how", ["key", "pem file"])
def test_ways_to_give_a_key(saver, tmp_path, how):
    given = KEY if how == "key" else str(pem_of(tmp_path / "key.pem"))
    saver.store.thread(THREAD).export(tmp_path / "a.wfz", sign_with=given)
    for public in (KEY.public_key(), raw_public_key(KEY.public_key()), public_pem(tmp_path / "public.pem")):
        assert verify_artifact(tmp_path / "a.wfz", public)["predicate"]["thread"] == THREAD


def test_only_the_key_that_signed_counts(saver, tmp_path):
    thread = saver.store.thread(THREAD)
    thread.export(tmp_path / "a.wfz", sign_with=KEY)
    thread.export(tmp_path / "none.wfz")
    for name, key in (("a.wfz", OTHER), ("none.wfz", KEY)):
        with pytest.raises(ArtifactError, match="none of it by the key"):
            verify_artifact(tmp_path / name, key.public_key())


def test_the_one_file_agrees(saver, tmp_path):
    saver.store.thread(THREAD).export(tmp_path / "a.wfz", sign_with=KEY)
    for key, good in ((KEY, True), (OTHER, False)):
        report = wfstore_verify.verify_file(tmp_path / "a.wfz", key=raw_public_key(key.public_key()))
        assert (report.ok, report.signed) == (good, good)
    command = [sys.executable, "-I", "-S", wfstore_verify.__file__, str(tmp_path / "a.wfz"), "--key"]
    done = subprocess.run(
        [*command, str(public_pem(tmp_path / "public.pem"))], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_a_statement_of_another_artifact_is_no_signature(saver, tmp_path):
    """The envelope is good, and is taken from another file."""
    from rewriting import archive_of, members_of

    thread = saver.store.thread(THREAD)
    thread.export(tmp_path / "old.wfz", sign_with=KEY)
    (signature,) = [m for m in members_of((tmp_path / "old.wfz").read_bytes()) if m[0].startswith("signatures/")]
    chat_graph(saver).invoke(says_human(9), CONFIG)
    thread.export(tmp_path / "new.wfz")
    forged = tmp_path / "forged.wfz"
    forged.write_bytes(archive_of([*members_of((tmp_path / "new.wfz").read_bytes()), signature]))
    with pytest.raises(ArtifactError, match="none of it by the key"):
        verify_artifact(forged, KEY.public_key())
    assert not wfstore_verify.verify_file(forged, key=raw_public_key(KEY.public_key())).ok


class TestHeadStatements:
    def test_it_shows_that_nothing_was_cut(self, saver, tmp_path):
        thread = saver.store.thread(THREAD)
        thread.export(tmp_path / "earlier.wfz")
        chat_graph(saver).invoke(says_human(9), CONFIG)
        statement = saver.store.head_statement(THREAD, KEY)
        said = verified(statement, KEY.public_key())
        assert said["predicate"]["head"] == thread.head and len(statement) < 1500
        chat_graph(saver).invoke(says_human(10), CONFIG)
        thread.export(tmp_path / "later.wfz")
        public = raw_public_key(KEY.public_key())
        assert wfstore_verify.verify_file(tmp_path / "later.wfz", key=None, statement=None).ok

        def shows(name):
            report = wfstore_verify.verify_file(tmp_path / name, key=public, statement=statement)
            return not [p for p in map(str, report.problems) if "statement" in p]

        assert shows("later.wfz") and not shows("earlier.wfz")

    def test_it_says_what_an_artifact_of_that_moment_says(self, saver, tmp_path):
        report = saver.store.thread(THREAD).export(tmp_path / "a.wfz", sign_with=KEY)
        stated = verified(saver.store.head_statement(THREAD, KEY), KEY.public_key())["predicate"]
        assert stated == verify_artifact(tmp_path / "a.wfz", KEY.public_key())["predicate"]
        assert stated["root"] == report.root


class TestBadInput:
    @pytest.mark.parametrize("key", [7, b"x", object(), generate_private_key(SECP256R1())])
    def test_what_is_no_key(self, saver, tmp_path, key):
        with pytest.raises(WfStoreError, match="cannot sign with"):
            saver.store.thread(THREAD).export(tmp_path / "a.wfz", sign_with=key)
        assert list(tmp_path.iterdir()) == []

    def test_files_that_hold_none(self, saver, tmp_path):
        (tmp_path / "bad.pem").write_bytes(b"nothing")
        locked = pem_of(tmp_path / "locked.pem", encryption=serialization.BestAvailableEncryption(b"secret"))
        for path in (tmp_path / "none.pem", tmp_path / "bad.pem", locked, tmp_path):
            with pytest.raises(WfStoreError, match="cannot sign with the key in"):
                saver.store.head_statement(THREAD, path)

    @pytest.mark.parametrize("public", [7, b"short", "none.pem", None])
    def test_what_is_no_public_key(self, saver, public):
        with pytest.raises(WfStoreError, match="public key of Ed25519"):
            verified(saver.store.head_statement(THREAD, KEY), public)

    @pytest.mark.parametrize(
        "change",
        [
            lambda e: {},
            lambda e: [],
            lambda e: {**e, "payload": "!"},
            lambda e: {**e, "payloadType": "text/plain"},
            lambda e: {**e, "payload": base64.b64encode(b"[]").decode()},
            lambda e: {**e, "signatures": "x"},
            lambda e: {**e, "signatures": [{"sig": 7}]},
            lambda e: {**e, "signatures": []},
            lambda e: {**e, "signatures": [{**e["signatures"][0], "sig": base64.b64encode(bytes(64)).decode()}]},
            lambda e: {
                **e,
                "payload": base64.b64encode(base64.b64decode(e["payload"]).replace(b'"seals":', b'"seals": ')).decode(),
            },
        ],
    )
    def test_envelopes_that_are_none(self, saver, change):
        good = json.loads(saver.store.head_statement(THREAD, KEY))
        with pytest.raises(ArtifactError):
            verified(json.dumps(change(good)).encode(), KEY.public_key())
        with pytest.raises(wfstore_verify.Damaged):
            wfstore_verify.verify_envelope(json.dumps(change(good)).encode(), raw_public_key(KEY.public_key()))

    def test_without_cryptography_it_says_what_to_install(self, saver, tmp_path, monkeypatch):
        pem_of(tmp_path / "key.pem")
        monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives", None)
        with pytest.raises(WfStoreError, match=r"langgraph-wfstore\[sign\]"):
            saver.store.head_statement(THREAD, tmp_path / "key.pem")
