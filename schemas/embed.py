#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes the OpenAPI document as a C file: embed.py openapi.json openapi.c"""

import json
import sys


def main():
    source, target = sys.argv[1:]
    with open(source, encoding="utf-8") as f:
        text = f.read()
    json.loads(text)
    with open(target, "w", encoding="ascii") as f:
        f.write('#include "schemas/openapi.h"\n\nconst char openapi_json[] =\n')
        for line in text.splitlines(keepends=True):
            escaped = "".join(
                "\\n" if c == 10 else "\\" + chr(c) if c in b'"\\' else chr(c) if 32 <= c < 127 and c != 63
                else "\\%03o" % c for c in line.encode())
            f.write('\t"%s"\n' % escaped)
        f.write("\t;\nconst size_t openapi_json_len = sizeof(openapi_json) - 1;\n")


main()
