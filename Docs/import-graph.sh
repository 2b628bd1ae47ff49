#!/usr/bin/env bash
# Draws who imports whom, as Package.swift says, for Docs/Architecture.md.
#
#   Docs/import-graph.sh            prints the drawing (Mermaid): an arrow from each target to those it imports, but for what
#                                   the targets on the way import anyway
#   Docs/import-graph.sh --edges    prints every import, "importer imported" a line
#   Docs/import-graph.sh --write    puts the drawing in Docs/Architecture.md
set -euo pipefail
cd "$(dirname "$0")/.."

edges() {
  awk '
    { text = text " " $0 }
    END {
      # A target is a call with its name first; the list that follows is of what it imports.
      while (match(text, /(library|\.target|\.executableTarget)\( *(name: *)?"[A-Za-z_-]+"/)) {
        call = substr(text, RSTART, RLENGTH)
        name = call; gsub(/^[^"]*"|"$/, "", name)
        text = substr(text, RSTART + RLENGTH)
        depth = 1; body = ""
        for (i = 1; depth > 0 && i <= length(text); i++) {
          c = substr(text, i, 1)
          if (c == "(") depth++
          if (c == ")") depth--
          if (depth > 0) body = body c
        }
        if (body ~ /path: *"Tests\//) continue
        if (call !~ /^library/ && !sub(/.*dependencies: */, "", body)) continue
        if (!match(body, /\[[^]]*\]/)) continue
        count = split(substr(body, RSTART + 1, RLENGTH - 2), items, ",")
        for (i = 1; i <= count; i++) {
          item = items[i]; gsub(/[ \t]/, "", item)
          # What is no text is a product of another package.
          if (item ~ /^"/) { gsub(/"/, "", item); print name, item }
        }
      }
    }' Package.swift
}

drawing() {
  echo '```mermaid'
  echo 'flowchart BT'
  edges | awk '
    { edge[$1, $2] = 1; if (!($1 in seen)) { seen[$1] = 1; order[++n] = $1 }; to[$1] = to[$1] " " $2 }
    function reaches(from, goal, parts, count, i) {
      count = split(to[from], parts, " ")
      for (i = 1; i <= count; i++) if (parts[i] == goal || reaches(parts[i], goal)) return 1
      return 0
    }
    END {
      for (t = 1; t <= n; t++) {
        count = split(to[order[t]], own, " ")
        for (i = 1; i <= count; i++) {
          implied = 0
          for (j = 1; j <= count; j++) if (i != j && reaches(own[j], own[i])) implied = 1
          if (!implied) print "  " order[t] " --> " own[i]
        }
      }
    }'
  echo '```'
}

case "${1:-}" in
  "") drawing ;;
  --edges) edges ;;
  --write)
    document=Docs/Architecture.md
    drawing >"$document.drawing"
    awk -v drawing="$document.drawing" '
      /^<!-- import-graph -->$/ { print; while ((getline line < drawing) > 0) print line; skipping = 1; next }
      skipping && /^```$/ { skipping = 0; next }
      !skipping { print }' "$document" >"$document.new"
    mv "$document.new" "$document"
    rm "$document.drawing" ;;
  *) echo "usage: Docs/import-graph.sh [--edges | --write]" >&2; exit 64 ;;
esac
