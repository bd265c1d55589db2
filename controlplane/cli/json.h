/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * JSON replies: `json show ...` on the control socket, used by `peregrinec -j`.
 * The document comes as lines of code 1100, so that framing stays as it is; a
 * line break is only put between values. Streams: nothing is kept but nesting.
 */
#pragma once
#include "controlplane/cli/session.h"

struct json {
	struct cli_session *s;
	bool comma; /* something precedes in this object or array */
};

void json_begin(struct json *j, struct cli_session *s);
void json_end(struct json *j); /* ends the last line and the reply */
/* key NULL inside arrays. bracket: '{' or '['. */
void json_open(struct json *j, const char *key, char bracket);
void json_close(struct json *j, char bracket);                     /* ']' or '}' */
void json_str(struct json *j, const char *key, const char *value); /* value NULL: null */
void json_u64(struct json *j, const char *key, uint64_t value);
void json_bool(struct json *j, const char *key, bool value);
void json_seconds(struct json *j, const char *key, uint64_t us); /* 0.300000 */
void json_number(struct json *j, const char *key, double value);
void json_raw(struct json *j, const char *key, const char *value); /* as it is */
