"""What stands on the journal's tables that werk has not put there: it may change or swallow what is written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Literal

from sqlalchemy import Connection, Table

from werk.core.errors import Tampered
from werk.core.journal import Damage
from werk.journal.database import cursor_of
from werk.journal.tables import METADATA

# An index that is not unique and has no expression changes nothing but the time a question takes.
_SQLITE = """
SELECT type, tbl_name, name, sql FROM sqlite_master AS m WHERE type IN ('trigger', 'view', 'table')
OR (type = 'index' AND sql IS NOT NULL AND (sql LIKE 'CREATE UNIQUE%' OR EXISTS
(SELECT 1 FROM pragma_index_xinfo(m.name) WHERE cid = -2)))
"""
_POSTGRES = """
WITH ours AS (SELECT oid, relname::text AS name, relkind, relrowsecurity FROM pg_class
WHERE relname = ANY(%s::name[]) AND pg_table_is_visible(oid))
SELECT 'trigger', ours.name, t.tgname::text, NULL FROM ours JOIN pg_trigger t ON t.tgrelid = ours.oid WHERE NOT t.tgisinternal
UNION ALL SELECT 'rule', ours.name, r.rulename::text, NULL FROM ours JOIN pg_rewrite r ON r.ev_class = ours.oid
WHERE ours.relkind NOT IN ('v', 'm')
UNION ALL SELECT 'policy', ours.name, p.polname::text, NULL FROM ours JOIN pg_policy p ON p.polrelid = ours.oid
UNION ALL SELECT 'policy', name, 'of row-level security', NULL FROM ours WHERE relrowsecurity
UNION ALL SELECT CASE relkind WHEN 'f' THEN 'foreign table' WHEN 'p' THEN 'partitioned table' ELSE 'view' END, name, name, NULL
FROM ours WHERE relkind IN ('v', 'm', 'f', 'p')
UNION ALL SELECT 'index', ours.name, i.relname::text, NULL FROM ours JOIN pg_index x ON x.indrelid = ours.oid
JOIN pg_class i ON i.oid = x.indexrelid WHERE (x.indisunique OR x.indexprs IS NOT NULL)
AND NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = i.oid AND k.contype IN ('p', 'u'))
"""
# No table of werk has any of these, and each may drop or change a row. A comment could hide them.
_CLAUSES = re.compile(r"\b(on\s+conflict|check|collate|default|generated|references|virtual)\b|\bas\s*\(|/\*|--", re.IGNORECASE)
_IN_PLACE = ("view", "foreign table", "partitioned table")
_QUOTED = re.compile(r'"[^"]*"')


def foreign(connection: Connection, kind: Literal["sqlite", "postgresql"], tables: Iterable[Table]) -> list[Damage]:
    """Triggers, rules, policies, unique indexes, indexes of expressions, views in place of tables: on our tables alone."""
    names = sorted({table.name for table in (*METADATA.sorted_tables, *tables)})
    cursor = cursor_of(connection)
    if kind == "sqlite":
        cursor.execute(_SQLITE)
    else:
        cursor.execute(_POSTGRES, (names,))
    rows = [row for row in cursor.fetchall() if row[1].lower() in names]
    return sorted((damage for row in rows for damage in _damages(*row)), key=lambda damage: (damage.table, damage.column))


def check_foreign(connection: Connection, kind: Literal["sqlite", "postgresql"], tables: Iterable[Table]) -> Tampered | None:
    """The first of them as an error, None when there is none."""
    found = foreign(connection, kind, tables)
    if not found:
        return None
    more = f" And {len(found) - 1} more." if len(found) > 1 else ""
    hint = "Run `werk audit verify`. Drop what was added, or restore a backup; ask who may write to the database."
    return Tampered(f"{found[0].sentence}{more}", code="journal-foreign", hint=hint)


def _damages(what: str, table: str, name: str, sql: Any) -> Iterator[Damage]:
    if what == "table":
        clause = _CLAUSES.search(_QUOTED.sub('""', str(sql)))
        if clause:
            said = f"The table {table} was made with a clause that is not werk's ({clause[0]}): it may drop or change rows."
            yield Damage(table, "clause", clause[0], said)
        return
    place = f"stands in place of the table {table}" if what in _IN_PLACE else f"stands on the table {table}"
    yield Damage(table, what, name, f"The {what} {name} {place} and is not werk's: it may change or swallow what is written.")
