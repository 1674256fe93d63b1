"""Is the record what was written? Run it where it lies: `python check_chain.py`. It needs Python alone, and reads facts.jsonl.

A fact's hash is the SHA-256 of the hash before it and of its header as JSON (keys sorted, no spaces, UTF-8 as it is); its body is
bound by the SHA-256 of salt and body. Of facts of other projects in the same journal only the hash is here. An erased body is
null: its header still counts.
"""

import hashlib
import json
from pathlib import Path

HEADER = ("actor", "at", "body_sha256", "dedupe_key", "kind", "project", "run", "seq", "subject", "v")


def main() -> None:
    before, checked, erased, seq = "0" * 64, 0, 0, 0
    for line in (Path(__file__).parent / "facts.jsonl").open(encoding="utf-8"):
        fact = json.loads(line)
        seq += 1
        assert fact["seq"] == seq, f"fact {seq} is missing"
        if "kind" in fact:
            header = json.dumps({name: fact[name] for name in HEADER}, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            assert fact["prev_hash"] == before, f"fact {seq} does not follow the one before it"
            assert hashlib.sha256((before + header).encode()).hexdigest() == fact["hash"], f"fact {seq} is not what was written"
            if fact["body"] is None:
                erased += 1
            else:
                body = hashlib.sha256(bytes.fromhex(fact["salt"] or "") + fact["body"].encode()).hexdigest()
                assert body == fact["body_sha256"], f"the body of fact {seq} is not what was written"
            checked += 1
        before = fact["hash"]
    print(f"{checked} facts hold, {erased} of them erased; the last is {seq}, {before}")


if __name__ == "__main__":
    main()
