"""Signatures: Ed25519 by the vectors of RFC 8032, envelopes and statements, and what each of them vouches for."""

from __future__ import annotations

import base64
import hashlib
import json

import by_hand
import pytest
import signing
import some_threads

from langgraph_wfstore import wfstore_verify
from langgraph_wfstore.wfstore_verify import Damaged, is_signed, read_key, verify_envelope

SEED, OTHER = bytes(range(32)), bytes(range(1, 33))
# RFC 8032, section 7.1: secret key, public key, message, signature.
VECTORS = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24"
        "655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aee"
        "b00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28d"
        "c027beceea1ec40a",
    ),
    (
        "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        hashlib.sha512(b"abc").hexdigest(),
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17a"
        "d9bef1177331a704",
    ),
]


class TestEd25519:
    @pytest.mark.parametrize("vector", VECTORS)
    def test_the_vectors_of_the_rfc(self, vector):
        secret, key, message, signature = map(bytes.fromhex, vector)
        assert is_signed(key, message, signature)
        assert signing.public_key(secret) == key and signing.sign(secret, message) == signature

    @pytest.mark.parametrize("vector", VECTORS[1:3])
    def test_no_bit_can_be_changed(self, vector):
        _, key, message, signature = map(bytes.fromhex, vector)
        for bit in range(0, 512, 7):
            other = bytearray(signature)
            other[bit // 8] ^= 1 << bit % 8
            assert not is_signed(key, message, bytes(other))
        assert not is_signed(key, message + b"\0", signature)
        assert not is_signed(bytes.fromhex(VECTORS[0][1]), message, signature)

    def test_the_order_of_the_base_may_not_be_added(self):
        """A second signature of the same message: RFC 8032 demands that S is below L."""
        _, key, message, signature = map(bytes.fromhex, VECTORS[1])
        s = int.from_bytes(signature[32:], "little")
        for more in (1, 2, 7):
            assert not is_signed(key, message, signature[:32] + (s + more * signing.L).to_bytes(32, "little"))

    @pytest.mark.parametrize("length", [0, 1, 32, 63, 65, 128])
    def test_another_length(self, length):
        _, key, message, signature = map(bytes.fromhex, VECTORS[1])
        assert not is_signed(key, message, (signature * 2)[:length])

    @pytest.mark.parametrize(
        "key",
        [
            (1).to_bytes(32, "little"),  # the neutral element: anybody can sign under it
            (signing.P - 1).to_bytes(32, "little"),  # of order 2
            bytes(32),  # of order 4
            (1 << 255).to_bytes(32, "little"),
            (signing.P).to_bytes(32, "little"),  # 0, encoded otherwise
            (signing.P + 1).to_bytes(32, "little"),
            (1 | 1 << 255).to_bytes(32, "little"),  # x is 0, and negative
            (2).to_bytes(32, "little"),  # no point
            b"\xff" * 32,
            bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),  # of order 8
            bytes(31),
            bytes(33),
        ],
    )
    def test_what_is_no_key(self, key):
        with pytest.raises(Damaged):
            wfstore_verify.check_key(key)

    def test_a_point_that_is_encoded_otherwise(self):
        """R of a signature under a sound key: y + p stands for the same point, where it fits into 255 bits."""
        scalar = signing._secret(SEED)[0]
        key = signing.public_key(SEED)
        for neutral in (1, signing.P + 1):
            point = neutral.to_bytes(32, "little")
            k = int.from_bytes(hashlib.sha512(point + key + b"m").digest(), "little") % signing.L
            signature = point + (k * scalar % signing.L).to_bytes(32, "little")
            assert is_signed(key, b"m", signature) is (neutral == 1)


class TestKeys:
    def test_a_pem_file_or_hexadecimal_digits(self, tmp_path):
        key = signing.public_key(SEED)
        (tmp_path / "key.pem").write_bytes(signing.pem(key))
        assert read_key(str(tmp_path / "key.pem")) == read_key(key.hex()) == key

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"\xff" * 100,
            signing.pem(b""),
            signing.pem(bytes(31)),
            signing.pem(signing.public_key(SEED) + b"\0"),
            signing.pem(signing.public_key(SEED)).replace(b"PUBLIC", b"PRIVATE"),
            signing.pem(signing.public_key(SEED)).replace(b"MCow", b"MCox"),
            signing.pem(signing.public_key(SEED)) * 2,
        ],
    )
    def test_what_is_none(self, data, tmp_path):
        (tmp_path / "key.pem").write_bytes(data)
        with pytest.raises(Damaged):
            read_key(str(tmp_path / "key.pem"))


@pytest.fixture(scope="module")
def made():
    return some_threads.made("branched")


@pytest.fixture(scope="module")
def manifest(made):
    return by_hand.manifest_of(made, by_hand.members(made))


def predicate_of(manifest, **changes):
    return {name: manifest[name] for name in ("head", "records", "root", "sealed", "seals", "thread")} | changes


def artifact_statement(manifest, **changes):
    identity = by_hand.sha256(by_hand.canonical(manifest))
    return signing.statement("artifact", "manifest.json", identity, predicate_of(manifest, **changes))


KEY = signing.public_key(SEED)


class TestEnvelopes:
    def test_the_statement_comes_back(self):
        stated = {"_type": "https://in-toto.io/Statement/v1", "a": "größe"}
        assert verify_envelope(signing.envelope(SEED, stated), KEY) == stated

    def test_base64_may_be_that_of_urls(self):
        stated = {"_type": "https://in-toto.io/Statement/v1", "a": "???>>>" * 20}
        data = json.loads(signing.envelope(SEED, stated))
        for form in (data["signatures"][0], data):
            name = "sig" if "sig" in form else "payload"
            form[name] = form[name].replace("+", "-").replace("/", "_")
        assert verify_envelope(json.dumps(data).encode(), KEY) == stated

    def test_one_signature_of_several_is_enough_and_keyids_are_not_looked_at(self):
        stated = {"_type": "https://in-toto.io/Statement/v1"}
        ours, theirs = (json.loads(signing.envelope(seed, stated))["signatures"][0] for seed in (SEED, OTHER))
        ours["keyid"] = "another"
        both = signing.envelope(SEED, stated, signatures=[theirs, ours])
        assert verify_envelope(both, KEY) == stated

    @pytest.mark.parametrize(
        "changes",
        [
            {"payloadType": "text/plain"},
            {"payload": base64.b64encode(b'{"_type":"https://in-toto.io/Statement/v1"}').decode()},
            {"payload": "###"},
            {"payload": None},
            {"payload": 5},
            {"signatures": []},
            {"signatures": [{}]},
            {"signatures": [None, 1, "x", []]},
            {"signatures": [{"sig": "AAAA"}]},
            {"signatures": {"sig": "AAAA"}},
            {"signatures": [{"sig": ["AAAA"]}]},
        ],
    )
    def test_what_is_changed_is_refused(self, changes):
        data = signing.envelope(SEED, {"_type": "https://in-toto.io/Statement/v1"}, **changes)
        with pytest.raises(Damaged):
            verify_envelope(data, KEY)

    @pytest.mark.parametrize("stated", [{"_type": "other"}, {}, [], "x", None, 1])
    def test_what_is_signed_and_no_statement_is_refused(self, stated):
        with pytest.raises(Damaged):
            verify_envelope(signing.envelope(SEED, stated), KEY)

    @pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 10**5, b'{"payload":1,"payload":1}'])
    def test_what_is_no_envelope_is_refused(self, data):
        with pytest.raises(Damaged):
            verify_envelope(data, KEY)


class TestArtifacts:
    """A signature in the file."""

    def verify(self, made, verified, *signatures, key=KEY):
        names = {f"{number}-signer": data for number, data in enumerate(signatures)}
        return verified(by_hand.archive(by_hand.entries(made, names)), key=key)

    def test_a_good_one(self, made, manifest, verified):
        report = self.verify(made, verified, signing.envelope(SEED, artifact_statement(manifest)))
        assert (report.problems, report.signed) == ([], True)
        assert report.signatures == ["signatures/0-signer.json: good"]

    def test_it_is_not_in_the_manifest_so_that_others_can_be_added(self, made, manifest, verified):
        good = signing.envelope(SEED, artifact_statement(manifest))
        other = signing.envelope(OTHER, artifact_statement(manifest))
        report = self.verify(made, verified, other, good, b"garbage")
        assert report.ok and ["good" in line and "not good" not in line for line in report.signatures] == [
            False,
            True,
            False,
        ]

    def test_none_at_all(self, made, verified):
        report = self.verify(made, verified)
        assert report.problems == ["signatures: none of 0 is good under the key that was given"]
        assert self.verify(made, verified, key=None).ok

    def test_another_key(self, made, manifest, verified):
        report = self.verify(made, verified, signing.envelope(OTHER, artifact_statement(manifest)))
        assert not report.ok and "no signature of that key" in report.signatures[0]

    def test_a_statement_about_another_artifact(self, made, manifest, verified):
        stated = artifact_statement({**manifest, "current": 7})
        assert "subject" in self.verify(made, verified, signing.envelope(SEED, stated)).signatures[0]
        for changes in ({"records": 1}, {"head": None}, {"root": "sha256:" + "0" * 64}, {"thread": "x"}, {"sealed": 0}):
            stated = artifact_statement(manifest, **changes)
            assert "says something else" in self.verify(made, verified, signing.envelope(SEED, stated)).signatures[0]

    def test_a_statement_of_another_kind(self, made, manifest, verified):
        head = signing.statement("head", "head", manifest["head"], predicate_of(manifest))
        named = artifact_statement(manifest) | {"predicateType": "urn:x-langgraph-wfstore:head:1"}
        more = artifact_statement(manifest)
        more["predicate"]["more"] = 1
        for stated in (head, named, more):
            assert not self.verify(made, verified, signing.envelope(SEED, stated)).ok


class TestHeadStatements:
    """What somebody kept who wants to see later that a thread only went on."""

    def stated(self, size: int, **changes):
        """A statement of the thread as it was with so many records."""
        made = some_threads.made("branched")
        del made.records[size:]
        manifest = by_hand.manifest_of(made, {})
        subject = manifest["head"] or manifest["root"]
        return signing.envelope(SEED, signing.statement("head", "head", subject, predicate_of(manifest, **changes)))

    @pytest.mark.parametrize("records", [0, 1, 2, 5, 9, 12, 15])
    def test_a_thread_that_only_went_on(self, records, made, verified):
        data = by_hand.archive(by_hand.entries(made))
        report = verified(data, key=KEY, statement=self.stated(records))
        assert report.ok
        assert report.statement is not None and report.statement["records"] == records

    def test_a_thread_that_was_cut(self, made, verified):
        full = len(made.records)
        cut = some_threads.made("branched")
        del cut.records[5:]
        problems = verified(by_hand.archive(by_hand.entries(cut)), key=KEY, statement=self.stated(full)).problems
        assert any("not in the chain" in problem for problem in problems)
        assert any(f"it is about {full} records" in problem for problem in problems)

    def test_another_thread(self, verified):
        data = by_hand.archive(by_hand.entries(some_threads.made("merged")))
        problems = verified(data, key=KEY, statement=self.stated(5)).problems
        assert any("not in the chain" in problem for problem in problems)
        assert any("the first 5 records are not those" in problem for problem in problems)

    @pytest.mark.parametrize(
        ("changes", "word"),
        [
            ({"records": 6}, "first 6 records are not those"),
            ({"root": "sha256:" + "0" * 64}, "first 5 records are not those"),
            ({"seals": 1}, "another seal"),
            ({"sealed": 1}, "another seal"),
            ({"records": -1}, "statement: below 0"),
            ({"records": True}, "statement: no integer"),
            ({"records": 2**40}, "and here are"),
            ({"head": "sha256:" + "0" * 64}, "subject"),
            ({"head": 5}, "no digest"),
            ({"head": None}, "subject"),
            ({"thread": 5}, "statement: "),
            ({"more": 5}, "no statement of the type"),
        ],
        ids=str,
    )
    def test_a_statement_that_is_not_true(self, changes, word, made, verified):
        data = by_hand.archive(by_hand.entries(made))
        problems = verified(data, key=KEY, statement=self.stated(5, **changes)).problems
        assert any(problem.startswith("statement: ") and word in problem for problem in problems), problems

    def test_one_that_is_not_signed_with_the_key(self, made, verified):
        data = by_hand.archive(by_hand.entries(made))
        other = signing.public_key(OTHER)
        assert "no signature of that key" in verified(data, key=other, statement=self.stated(5)).problems[0]
        with pytest.raises(ValueError, match="public key"):
            verified(data, statement=self.stated(5))


def test_the_command_line_says_who_signed(made, manifest, tmp_path, capsys):
    signed = {"someone": signing.envelope(SEED, artifact_statement(manifest))}
    (tmp_path / "t.wfz").write_bytes(by_hand.archive(by_hand.entries(made, signed)))
    (tmp_path / "key.pem").write_bytes(signing.pem(KEY))
    (tmp_path / "head.json").write_bytes(TestHeadStatements().stated(5))
    paths = [str(tmp_path / name) for name in ("t.wfz", "key.pem", "head.json")]
    assert wfstore_verify.main([paths[0], "--key", paths[1], "--statement", paths[2]]) == 0
    out = capsys.readouterr().out
    assert "signatures/someone.json: good" in out and "of 5 records of 'branched'" in out
    assert "who made the file" not in out and "cut off" not in out
    assert wfstore_verify.main([paths[0], "--key", signing.public_key(OTHER).hex()]) == 1
    assert "no signature of that key" in capsys.readouterr().out
