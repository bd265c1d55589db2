/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * peregrinec: the interactive client. With a command it runs that and exits
 * like birdc: 0 if the last reply code is below 8000, else 1.
 */
#include "client/connection.h"
#include "client/words.h"
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <histedit.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define DEFAULT_SOCKET "/run/peregrine.ctl"

struct client {
	struct connection conn;
	bool verbose, json;
	bool lost; /* the daemon has gone while we waited for a key */
};

static void usage(FILE *f)
{
	fputs("Usage: peregrinec [-s CTLSOCK] [-j] [-v] [-r] [COMMAND...]\n\n"
	      "  -s CTLSOCK  control socket (default " DEFAULT_SOCKET ")\n"
	      "  -j          print `show` commands as JSON\n"
	      "  -v          print reply codes\n"
	      "  -r          restricted: read only\n",
		f);
}

static int run_line(struct client *c, const char *line, FILE *out)
{
	char full[4096], with_json[4200];
	int rc = words_expand(line, full, sizeof(full));

	if (rc < 0) {
		fprintf(stderr,
			rc == -EEXIST  ? "Ambiguous command: %s\n"
			: rc == -E2BIG ? "Command too long\n"
				       : "Unknown command: %s\n",
			full);
		return 9001;
	}
	if (c->json && (!strncmp(full, "show ", 5) || !strncmp(full, "explain ", 8))) {
		snprintf(with_json, sizeof(with_json), "json %s", full);
		return connection_command(&c->conn, with_json, out, c->verbose);
	}
	return connection_command(&c->conn, full, out, c->verbose);
}

/* ---- at the prompt ---- */

/* A reply longer than the screen goes through the pager, as it comes: what fits on the screen is held back
 * until it is known that there is more. */
struct paged {
	char *first; /* lines so far */
	size_t len;
	unsigned lines, screen;
	FILE *pager;
};

static ssize_t write_paged(void *cookie, const char *s, size_t n)
{
	struct paged *p = cookie;
	const char *command = getenv("PAGER");
	char *more;

	if (p->pager)
		return fwrite(s, 1, n, p->pager) == n ? (ssize_t)n : 0;
	more = realloc(p->first, p->len + n);
	if (!more)
		return 0;
	p->first = more;
	memcpy(p->first + p->len, s, n);
	p->len += n;
	for (size_t i = 0; i < n; i++)
		p->lines += s[i] == '\n';
	if (p->lines <= p->screen)
		return (ssize_t)n;
	p->pager = popen(command && *command ? command : "less -F", "w");
	if (!p->pager)
		p->pager = stdout;
	fwrite(p->first, 1, p->len, p->pager);
	return (ssize_t)n;
}

static int run_paged(struct client *c, const char *line)
{
	struct paged p = {0};
	struct winsize ws;
	FILE *out;
	int code;

	if (!isatty(1) || ioctl(1, TIOCGWINSZ, &ws) < 0 || !ws.ws_row)
		return run_line(c, line, stdout);
	out = fopencookie(&p, "w", (cookie_io_functions_t){.write = write_paged});
	if (!out)
		return -ENOMEM;
	p.screen = ws.ws_row;
	code = run_line(c, line, out);
	fclose(out);
	if (p.pager && p.pager != stdout) {
		pclose(p.pager);
	} else if (p.len) {
		fwrite(p.first, 1, p.len, stdout);
		fflush(stdout);
	}
	free(p.first);
	return code;
}

static int watch(struct client *c, const char *args)
{
	char *rest;
	unsigned seconds = (unsigned)strtoul(args, &rest, 10);

	if (!seconds)
		seconds = 2;
	while (isspace((unsigned char)*rest))
		rest++;
	for (;;) {
		int code;

		if (isatty(1))
			fputs("\033[H\033[2J", stdout);
		code = run_line(c, rest, stdout);
		if (code < 0 || code >= 8000)
			return code;
		sleep(seconds);
	}
}

static char *prompt_text(EditLine *el)
{
	static char text[] = "peregrine> ";

	(void)el;
	return text;
}

static unsigned char put_completion(EditLine *el, const char **found, unsigned n, size_t typed)
{
	size_t common;

	if (!n)
		return CC_ERROR;
	common = strlen(found[0]);
	for (unsigned i = 1; i < n; i++)
		while (strncmp(found[0], found[i], common))
			common--;
	if (common > typed) {
		char insert[64];

		snprintf(insert, sizeof(insert), "%.*s%s", (int)(common - typed), found[0] + typed,
			n == 1 ? " " : "");
		el_insertstr(el, insert);
		return CC_REFRESH;
	}
	if (n == 1)
		return CC_ERROR;
	putchar('\n');
	for (unsigned i = 0; i < n; i++)
		printf("%s  ", found[i]);
	putchar('\n');
	return CC_REDISPLAY;
}

/* Names of the configuration that begin with prefix, into found; *text keeps them. */
static unsigned names_complete(
	struct client *c, const char *prefix, size_t n, const char **found, unsigned max, char **text)
{
	unsigned count = 0;
	size_t len = 0;
	FILE *mem = open_memstream(text, &len);
	int code;

	if (!mem)
		return 0;
	code = connection_command(&c->conn, "show symbols", mem, false);
	fclose(mem);
	for (char *line = *text, *next; code == 0 && line && *line && count < max; line = next) {
		next = line + strcspn(line, "\n");
		if (*next)
			*next++ = 0;
		line[strcspn(line, " \t")] = 0;
		if (n && !strncmp(line, prefix, n))
			found[count++] = line;
	}
	return count;
}

static unsigned char complete(EditLine *el, int ch)
{
	const LineInfo *li = el_line(el);
	const char *found[256];
	size_t len = (size_t)(li->cursor - li->buffer), typed = 0;
	unsigned n = words_complete(li->buffer, len, found, 64);
	char *names = NULL;
	unsigned char result;
	struct client *c;

	(void)ch;
	while (typed < len && !isspace((unsigned char)li->buffer[len - typed - 1]))
		typed++;
	if (typed < len && el_get(el, EL_CLIENTDATA, &c) == 0) /* not the command itself */
		n += names_complete(c, li->buffer + len - typed, typed, found + n, 256 - n, &names);
	result = put_completion(el, found, n, typed);
	free(names);
	return result;
}

/* A key, or meanwhile a line of the daemon's that nobody asked for. */
static int next_key(EditLine *el, wchar_t *key)
{
	struct client *c;
	unsigned char byte;
	ssize_t n;

	if (el_get(el, EL_CLIENTDATA, &c) < 0)
		return -1;
	for (;;) {
		struct pollfd fds[2] = {
			{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = c->conn.fd, .events = POLLIN}};

		if (poll(fds, 2, -1) < 0) {
			if (errno == EINTR)
				continue;
			return -1;
		}
		if (fds[1].revents) {
			fputs("\r\033[K", stdout);
			if (connection_news(&c->conn, stdout) < 0) {
				c->lost = true;
				return 0;
			}
			el_set(el, EL_REFRESH);
			fflush(stdout);
		}
		if (!fds[0].revents)
			continue;
		n = read(STDIN_FILENO, &byte, 1);
		if (n < 0 && errno == EINTR)
			continue;
		*key = byte;
		return (int)n;
	}
}

static int interactive(struct client *c)
{
	EditLine *el = el_init("peregrinec", stdin, stdout, stderr);
	History *h = history_init();
	HistEvent ev;
	const char *line, *home = getenv("HOME");
	char kept[512] = "";
	int count, code = 0;

	if (home)
		snprintf(kept, sizeof(kept), "%s/.peregrinec_history", home);
	history(h, &ev, H_SETSIZE, 500);
	el_set(el, EL_PROMPT, prompt_text);
	el_set(el, EL_EDITOR, "emacs");
	el_set(el, EL_HIST, history, h);
	el_set(el, EL_ADDFN, "complete", "complete the word", complete);
	el_set(el, EL_BIND, "^I", "complete", NULL);
	el_set(el, EL_CLIENTDATA, c);
	el_set(el, EL_GETCFN, next_key);
	history(h, &ev, H_SETUNIQUE, 1);
	if (kept[0])
		history(h, &ev, H_LOAD, kept);
	while (code >= 0 && (line = el_gets(el, &count)) != NULL && count > 0) {
		char text[4096];

		while (isspace((unsigned char)*line))
			line++;
		snprintf(text, sizeof(text), "%s", line);
		text[strcspn(text, "\n")] = 0;
		if (!*text)
			continue;
		history(h, &ev, H_ENTER, text);
		if (!strcmp(text, "quit") || !strcmp(text, "exit"))
			break;
		if (!strcmp(text, "help") || !strcmp(text, "?"))
			words_help();
		else if (!strncmp(text, "watch ", 6))
			code = watch(c, text + 6);
		else
			code = run_paged(c, text);
	}
	if (kept[0])
		history(h, &ev, H_SAVE, kept);
	history_end(h);
	el_end(el);
	if (c->lost)
		code = -ECONNRESET;
	if (code < 0)
		fprintf(stderr, "peregrinec: connection closed by the daemon\n");
	return code < 0;
}

static int one_command(struct client *c, int argc, char **argv)
{
	char line[4096];
	size_t len = 0;
	int code;

	for (int i = 0; i < argc; i++) {
		len += (size_t)snprintf(line + len, sizeof(line) - len, "%s%s", i ? " " : "", argv[i]);
		if (len >= sizeof(line)) {
			fputs("peregrinec: command too long\n", stderr);
			return 1;
		}
	}
	if (!strncmp(line, "watch ", 6))
		code = watch(c, line + 6);
	else
		code = run_line(c, line, stdout);
	if (code < 0)
		fprintf(stderr, "peregrinec: %s\n", strerror(-code));
	return code < 0 || code >= 8000;
}

int main(int argc, char **argv)
{
	const char *path = DEFAULT_SOCKET;
	bool restricted = false;
	static struct client c;
	char banner[256];
	int o, rc;

	while ((o = getopt(argc, argv, "+s:jvrh")) != -1) {
		switch (o) {
		case 's': path = optarg; break;
		case 'j': c.json = true; break;
		case 'v': c.verbose = true; break;
		case 'r': restricted = true; break;
		case 'h': usage(stdout); return 0;
		default: usage(stderr); return 1;
		}
	}
	signal(SIGPIPE, SIG_IGN);
	rc = connection_open(&c.conn, path, banner, sizeof(banner));
	if (rc < 0) {
		fprintf(stderr, "peregrinec: %s: %s\n", path, strerror(-rc));
		return 1;
	}
	if (!c.json)
		printf("%s\n", banner);
	if (restricted) {
		rc = connection_command(&c.conn, "restrict", c.json ? stderr : stdout, c.verbose);
		if (rc < 0 || rc >= 8000)
			return 1;
	}
	rc = optind < argc ? one_command(&c, argc - optind, argv + optind) : interactive(&c);
	connection_close(&c.conn);
	return rc;
}
