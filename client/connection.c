/* SPDX-License-Identifier: BSD-2-Clause */
#include "client/connection.h"
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* The next line without its end; NULL when the connection is over (errno). Valid until the next call. */
static char *read_line(struct connection *c, size_t *used)
{
	memmove(c->buf, c->buf + *used, c->have - *used);
	c->have -= *used;
	*used = 0;
	for (size_t looked = 0;;) {
		char *nl = memchr(c->buf + looked, '\n', c->have - looked);
		ssize_t n;

		if (nl) {
			*nl = 0;
			*used = (size_t)(nl - c->buf) + 1;
			return c->buf;
		}
		if (c->have == c->size) {
			char *more = realloc(c->buf, 2 * c->size);

			if (!more)
				return NULL;
			c->buf = more;
			c->size *= 2;
		}
		looked = c->have;
		n = read(c->fd, c->buf + c->have, c->size - c->have);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			if (n == 0)
				errno = ECONNRESET;
			return NULL;
		}
		c->have += (size_t)n;
	}
}

int connection_open(struct connection *c, const char *path, char *banner, size_t size)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	size_t used = 0;
	char *line;
	int rc;

	*c = (struct connection){.fd = -1, .size = 65536};
	c->buf = malloc(c->size);
	if (!c->buf)
		return -ENOMEM;
	if (strlen(path) >= sizeof(sun.sun_path))
		return -ENAMETOOLONG;
	strcpy(sun.sun_path, path);
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		return -errno;
	if (connect(c->fd, (struct sockaddr *)&sun, sizeof(sun)) < 0 || !(line = read_line(c, &used))) {
		rc = -errno;
		close(c->fd);
		return rc;
	}
	snprintf(banner, size, "%s", strlen(line) > 5 ? line + 5 : line);
	memmove(c->buf, c->buf + used, c->have - used);
	c->have -= used;
	return 0;
}

void connection_close(struct connection *c)
{
	close(c->fd);
	free(c->buf);
}

static int code_of(const char *line)
{
	for (int i = 0; i < 4; i++)
		if (!isdigit((unsigned char)line[i]))
			return -1;
	return line[4] == ' ' || line[4] == '-' ? atoi(line) : -1;
}

int connection_news(struct connection *c, FILE *out)
{
	char *nl;
	ssize_t n;

	if (c->have == c->size)
		return -EMSGSIZE;
	n = recv(c->fd, c->buf + c->have, c->size - c->have, MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0)
		return -ECONNRESET;
	c->have += (size_t)n;
	while ((nl = memchr(c->buf, '\n', c->have)) != NULL) {
		size_t used = (size_t)(nl - c->buf) + 1;

		*nl = 0;
		fprintf(out, ">>> %s\n", c->buf + (*c->buf == '+'));
		memmove(c->buf, c->buf + used, c->have - used);
		c->have -= used;
	}
	return 0;
}

int connection_command(struct connection *c, const char *line, FILE *out, bool verbose)
{
	size_t len = strlen(line), used = 0;
	char *text = malloc(len + 2), *reply;
	int code = 0, rc = 0;

	if (!text)
		return -ENOMEM;
	memcpy(text, line, len);
	text[len++] = '\n';
	for (size_t done = 0; done < len && rc == 0;) {
		ssize_t n = send(c->fd, text + done, len - done, MSG_NOSIGNAL);

		if (n < 0)
			rc = -errno;
		else
			done += (size_t)n;
	}
	free(text);
	while (rc == 0 && (reply = read_line(c, &used)) != NULL) {
		int k = code_of(reply);

		if (*reply == '+') { /* asynchronous */
			fprintf(out, ">>> %s\n", reply + 1);
			continue;
		}
		if (k >= 0)
			code = k;
		if (verbose)
			fprintf(out, "%s\n", reply);
		else if (k < 0)
			fprintf(out, "%s\n", *reply ? reply + 1 : reply);
		else if (k != 0)
			fprintf(out, "%s\n", reply + 5);
		if (k >= 0 && reply[4] == ' ') {
			memmove(c->buf, c->buf + used, c->have - used);
			c->have -= used;
			fflush(out);
			return code;
		}
	}
	return rc ? rc : -errno;
}
