/* SPDX-License-Identifier: BSD-2-Clause */
/* The client's side of the control socket. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct connection {
	int fd;
	char *buf; /* what was read: grows with the longest line */
	size_t have, size;
};

/* 0, or -errno. Reads the banner into banner. */
int connection_open(struct connection *c, const char *path, char *banner, size_t size);
void connection_close(struct connection *c);
/* Prints what the daemon says unasked, after a reply and before the next command: what has come, without
 * waiting. 0, or -errno when the connection broke. */
int connection_news(struct connection *c, FILE *out);
/* Sends one line and prints the reply to out as it comes. verbose: with codes. Returns the reply's last code,
 * or -errno when the connection broke. */
int connection_command(struct connection *c, const char *line, FILE *out, bool verbose);
