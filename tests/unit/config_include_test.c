/* SPDX-License-Identifier: BSD-2-Clause */
/* Files: includes, their places in errors, what cannot be opened. */
#include "tests/unit/config_support.h"
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64];

static void write_file(const char *name, const char *text)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

/* "FILE:LINE:COL text" with the directory cut off, or "ok". */
static const char *read_main(struct config **out)
{
	static char buf[1024];
	char path[256], text[1024];
	struct config_error err;
	struct config *c;

	snprintf(path, sizeof(path), "%s/main.conf", dir);
	c = config_read(path, &err);
	if (out)
		*out = c;
	if (c) {
		if (!out)
			config_release(c);
		return "ok";
	}
	config_error_format(&err, text, sizeof(text));
	snprintf(buf, sizeof(buf), "%s", !strncmp(text, dir, strlen(dir)) ? text + strlen(dir) + 1 : text);
	return buf;
}

static void test_plain(void **state)
{
	struct config *c;

	write_file("main.conf", "include \"a.conf\";\n  \tinclude\t\"sub/b.conf\" ;\ninclude\"c.conf\"; "
				"protocol direct { ipv4; }\n");
	write_file("a.conf", "protocol device { }");
	write_file("sub/b.conf", "include \"d.conf\";\n");
	write_file("sub/d.conf", "define D = 5;\n");
	write_file("c.conf", "define E = D + 1;\n");
	assert_string_equal(read_main(&c), "ok");
	assert_non_null(config_find_protocol(c, "device1"));
	assert_non_null(config_find_protocol(c, "direct1"));
	assert_int_equal(symbol_find_here(c->symbols->global, "E")->value.i, 6);
	config_release(c);
}

/* Anywhere in the grammar: routes and set elements. */
static void test_inside_blocks(void **state)
{
	struct config *c;

	write_file("main.conf",
		"roa4 table r;\nprotocol static roa { roa4 { table r; };\ninclude \"roa.conf\";\n}\n"
		"define S = [\n  1,\n  include \"set.conf\";\n  9 ];\n");
	write_file("roa.conf", "route 10.0.0.0/8 max 24 as 1;\nroute 11.0.0.0/8 max 24 as 1;\n");
	write_file("set.conf", "2, 3,\n");
	assert_string_equal(read_main(&c), "ok");
	assert_int_equal(((const struct static_config *)must_proto(c, "roa")->body)->n_routes, 2);
	config_release(c);
}

static void test_glob(void **state)
{
	struct config *c;

	write_file("main.conf", "define A = 1;\ninclude \"g/*.conf\";\ninclude \"sub/none*.conf\";\nprotocol "
				"device { scan time C; }\n");
	write_file("g/10.conf", "define B = A + 1;\n");
	write_file("g/20.conf", "define C = B + 1;\n");
	write_file("g/ignored.txt", "nonsense");
	/* in order, directories passed over, no match is fine */
	assert_string_equal(read_main(&c), "ok");
	assert_int_equal(((const struct device_config *)must_proto(c, "device1")->body)->scan_time, 3);
	config_release(c);
	write_file("main.conf", "include \"g/[12]0.conf\";\n");
	assert_string_equal(read_main(NULL), "g/10.conf:1:12 syntax error, unexpected CF_SYM_UNDEFINED");
	/* a directory that is not there is a mistake, for BIRD too */
	write_file("main.conf", "include \"none/*.conf\";\n");
	assert_non_null(strstr(read_main(NULL), "main.conf:1:10 Unable to match pattern"));
}

static void test_places(void **state)
{
	write_file("main.conf", "protocol device { }\ninclude \"a.conf\";\nfoo;\n");
	write_file("a.conf", "\n\n  bar;\n");
	assert_string_equal(read_main(NULL), "a.conf:3:3 syntax error, unexpected CF_SYM_UNDEFINED");
	write_file("a.conf", "\n\n");
	assert_string_equal(read_main(NULL), "main.conf:3:1 syntax error, unexpected CF_SYM_UNDEFINED");
	write_file("main.conf", "  include \"nope.conf\";\n");
	assert_non_null(strstr(read_main(NULL), "main.conf:1:12 Unable to open included file"));
	assert_non_null(strstr(read_main(NULL), "nope.conf: No such file or directory"));
	write_file("main.conf", "include \"sub\";\n");
	assert_non_null(strstr(read_main(NULL), "Is a directory"));
	write_file("main.conf", "include \"a.conf\"\n");
	assert_string_equal(read_main(NULL), "main.conf:1:10 Unterminated include");
}

static void test_depth(void **state)
{
	char name[32], text[64];
	struct config *c;

	write_file("main.conf", "include \"main.conf\";\n");
	assert_string_equal(read_main(NULL), "main.conf:1:10 Max include depth reached");
	/* eight are allowed */
	write_file("main.conf", "include \"l1.conf\";\n");
	for (int i = 1; i <= 9; i++) {
		snprintf(name, sizeof(name), "l%d.conf", i);
		snprintf(text, sizeof(text), i == 8 ? "protocol device { }\n" : "include \"l%d.conf\";\n",
			i + 1);
		write_file(name, text);
	}
	assert_string_equal(read_main(&c), "ok");
	config_release(c);
	write_file("l8.conf", "include \"l9.conf\";\n");
	write_file("l9.conf", "protocol device { }\n");
	assert_string_equal(read_main(NULL), "l8.conf:1:10 Max include depth reached");
	/* one after the other is no depth */
	write_file("main.conf", "include \"l9.conf\";\ninclude \"a.conf\";\ninclude \"a.conf\";\ninclude "
				"\"a.conf\";\ninclude \"a.conf\";\n"
				"include \"a.conf\";\ninclude \"a.conf\";\ninclude \"a.conf\";\ninclude "
				"\"a.conf\";\ninclude \"a.conf\";\n");
	assert_string_equal(read_main(&c), "ok");
	config_release(c);
}

static void test_absolute(void **state)
{
	char text[256];

	snprintf(text, sizeof(text), "include \"%s/sub/abs.conf\";\n", dir);
	write_file("main.conf", text);
	write_file("sub/abs.conf", "include \"rel.conf\";\n");
	write_file("sub/rel.conf", "protocol device { }\n");
	assert_string_equal(read_main(NULL), "ok");
}

static void test_missing_main(void **state)
{
	struct config_error err;
	char buf[600];

	assert_null(config_read("/nonexistent/bird.conf", &err));
	config_error_format(&err, buf, sizeof(buf));
	assert_string_equal(buf, "/nonexistent/bird.conf: No such file or directory");
	assert_null(config_read(dir, &err));
	assert_string_equal(err.text, "Is a directory");
}

static int set_up(void **state)
{
	char path[128];

	strcpy(dir, "/tmp/config_include_XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/sub", dir);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/g", dir);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/g/15.conf", dir);
	return mkdir(path, 0700); /* a directory that the glob matches */
}

static int tear_down(void **state)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", dir);
	return system(cmd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_inside_blocks),
		cmocka_unit_test(test_glob),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_absolute),
		cmocka_unit_test(test_missing_main),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
