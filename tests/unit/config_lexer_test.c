/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/config/lexer.h"
#include "tests/unit/config_support.h"

/* The tokens of a text in one line: NUM(5) IP4(1.2.3.4) 'word' "text" ; and ERROR(text). */
static const char *tokens(const char *text)
{
	static char out[4096];
	struct arena *a = arena_create();
	struct lexer *l = lexer_create(a);
	struct token t;
	size_t n = 0;
	char buf[IPADDR_STRLEN];

	lexer_open_text(l, "t", text, strlen(text), false);
	out[0] = 0;
	do {
		char one[256] = "";

		lexer_next(l, &t);
		switch (t.kind) {
		case TOK_EOF: break;
		case TOK_NUMBER: snprintf(one, sizeof(one), "%u", t.number); break;
		case TOK_IP4: snprintf(one, sizeof(one), "IP4(%s)", ipaddr_format(&t.ip, buf)); break;
		case TOK_IP6: snprintf(one, sizeof(one), "IP6(%s)", ipaddr_format(&t.ip, buf)); break;
		case TOK_RD: snprintf(one, sizeof(one), "RD(%016llx)", (unsigned long long)t.u64); break;
		case TOK_MAC: snprintf(one, sizeof(one), "MAC(%02x..%02x)", t.mac[0], t.mac[5]); break;
		case TOK_BYTES:
			snprintf(one, sizeof(one), "BYTES(%u:%02x..%02x)", t.bytes->len,
				t.bytes->len ? t.bytes->data[0] : 0,
				t.bytes->len ? t.bytes->data[t.bytes->len - 1] : 0);
			break;
		case TOK_TEXT: snprintf(one, sizeof(one), "\"%s\"", t.text); break;
		case TOK_SYMBOL: snprintf(one, sizeof(one), t.quoted ? "'%s'" : "%s", t.text); break;
		case TOK_KEYWORD: snprintf(one, sizeof(one), "<%s>", t.text); break;
		case TOK_ELSECOL: snprintf(one, sizeof(one), "ELSECOL"); break;
		case TOK_NEQ: snprintf(one, sizeof(one), "!="); break;
		case TOK_NMA: snprintf(one, sizeof(one), "!~"); break;
		case TOK_LEQ: snprintf(one, sizeof(one), "<="); break;
		case TOK_GEQ: snprintf(one, sizeof(one), ">="); break;
		case TOK_AND: snprintf(one, sizeof(one), "&&"); break;
		case TOK_OR: snprintf(one, sizeof(one), "||"); break;
		case TOK_ARROW: snprintf(one, sizeof(one), "->"); break;
		case TOK_PLUSPLUS: snprintf(one, sizeof(one), "++"); break;
		case TOK_DDOT: snprintf(one, sizeof(one), ".."); break;
		case TOK_PO: snprintf(one, sizeof(one), "[="); break;
		case TOK_PC: snprintf(one, sizeof(one), "=]"); break;
		case TOK_ERROR: snprintf(one, sizeof(one), "ERROR(%u:%u %s)", t.line, t.col, t.text); break;
		default: snprintf(one, sizeof(one), "%c", t.kind); break;
		}
		n += (size_t)snprintf(out + n, sizeof(out) - n, "%s%s", n && one[0] ? " " : "", one);
	} while (t.kind != TOK_EOF && t.kind != TOK_ERROR && n < sizeof(out));
	lexer_destroy(l);
	arena_destroy(a);
	return out;
}

static void test_tokens(void **state)
{
	static const struct {
		const char *text, *tokens;
	} rows[] = {
		{"", ""},
		{"  \t\n", ""},
		{"1 22 4294967295", "1 22 4294967295"},
		{"4294967296", "ERROR(1:1 Number out of range)"},
		{"99999999999999999999999", "ERROR(1:1 Number out of range)"},
		{"0x10 0xffffffff 0xg", "16 4294967295 0 xg"},
		{"0x100000000", "ERROR(1:1 Number out of range)"},
		{"10s 300 ms 5us", "10 <s> 300 <ms> 5 <us>"},
		{"1..5", "1 .. 5"},
		{"1.5", "1 . 5"},
		{"1.2.3", "1 . 2 . 3"},
		{"1.2.3.4", "IP4(1.2.3.4)"},
		{"1.2.3.4.5", "IP4(1.2.3.4) . 5"},
		{"1.2.3.4..1.2.3.9", "IP4(1.2.3.4) .. IP4(1.2.3.9)"},
		{"010.001.0.0", "IP4(10.1.0.0)"},
		{"1.2.3.256", "ERROR(1:1 Invalid IPv4 address 1.2.3.256)"},
		{"10.0.0.0/8{16,24}", "IP4(10.0.0.0) / 8 { 16 , 24 }"},
		{"65000:100", "RD(0000fde800000064)"},
		{"192.0.2.1:5", "RD(0001c00002010005)"},
		{"192.0.2.11 : return", "IP4(192.0.2.11) : <return>"},
		{"192.0.2.11: return", "IP4(192.0.2.11) : <return>"},
		{"0:5:70000 2:70000:5", "RD(0000000500011170) RD(0002000111700005)"},
		{"100000:5", "RD(0002000186a00005)"},
		{"1:2:3", "RD(0000000100000002) : 3"},
		{"5 :", "5 :"},
		{"::", "IP6(::)"},
		{"::1 ::/0", "IP6(::1) IP6(::) / 0"},
		{"2001:db8::/32{32,48}", "IP6(2001:db8::) / 32 { 32 , 48 }"},
		{"2a02:898::1", "IP6(2a02:898::1)"},
		{"fe80::1%eth0", "IP6(fe80::1) % eth0"},
		{"1:2:3:4:5:6:7:8", "IP6(1:2:3:4:5:6:7:8)"},
		{"::ffff:1.2.3.4", "IP6(1.2.3.4)"}, /* IPv6 as written, held as the mapped address it is */
		{"64:ff9b::192.0.2.33", "IP6(64:ff9b::c000:221)"},
		{"::22:", "ERROR(1:1 Invalid IPv6 address ::22:)"},
		{"::22 :", "IP6(::22) :"},
		{"fe80:::1", "ERROR(1:1 Invalid IPv6 address fe80:::1)"},
		{"dead:beef::", "IP6(dead:beef::)"},
		{"aa:bb:cc:dd:ee:ff", "MAC(aa..ff)"},
		{"aa:bb:cc:dd:ee:ff:00", "ERROR(1:1 Invalid IPv6 address aa:bb:cc:dd:ee:ff:00)"},
		{"00:11:22:33:44:55:66:77", "IP6(0:11:22:33:44:55:66:77)"},
		{"00:11:22:33:44:55:66:77:88:99", "BYTES(10:00..99)"},
		{"00112233445566778899", "BYTES(10:00..99)"},
		{"aabbccddeeff00112233", "BYTES(10:aa..33)"},
		{"aabbccddeeff0011223", "aabbccddeeff0011223"},
		{"aabbccddeeff00112233xyz", "aabbccddeeff00112233xyz"},
		{"hex: hex:01:02 hex:0a0b", "BYTES(0:00..00) BYTES(2:01..02) BYTES(2:0a..0b)"},
		{"abc ab: a_b if", "abc ab : a_b <if>"},
		{"else: else :", "ELSECOL <else> :"},
		{"'as1.v4-x:y' '1' ''", "'as1.v4-x:y' '1' ''"},
		{"'a$'", "ERROR(1:3 Invalid character in apostrophed symbol)"},
		{"\"a b # c\" \"\"", "\"a b # c\" \"\""},
		{"\"a\\\"b", "\"a\\\" b"},
		{"\"abc\n\"", "ERROR(1:5 Unterminated string)"},
		{"!= !~ <= >= && || -> ++ .. [= =] [ = ]", "!= !~ <= >= && || -> ++ .. [= =] [ = ]"},
		{"= { } : ; , . ( ) + * / % < > ~ [ ] ? ! | - &",
			"= { } : ; , . ( ) + * / % < > ~ [ ] ? ! | - &"},
		{"a-b", "a - b"},
		{"[=*=]", "[= * =]"},
		{"a # b\nc // d", "a c / / d"},
		{"a /* b\n * c */ d", "a d"},
		{"a /* b /* c */", "a ERROR(1:8 Comment nesting not supported)"},
		{"a /* b", "a ERROR(1:7 Unterminated comment)"},
		{"a @", "a ERROR(1:3 Unknown character)"},
		{"a \x80", "a ERROR(1:3 Unknown character)"},
		{"# \x80\xff\n\"\xc3\xa4\"", "\"\xc3\xa4\""},
		{"If iF IF if", "If iF IF <if>"},
		{"a\r\nb", "a b"},
		{"a\rb", "a ERROR(1:2 Unknown character)"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (strcmp(tokens(rows[i].text), rows[i].tokens) != 0)
			print_error("text: %s\n", rows[i].text);
		assert_string_equal(tokens(rows[i].text), rows[i].tokens);
	}
}

static void test_long_symbols(void **state)
{
	char text[80];

	memset(text, 'x', sizeof(text));
	text[64] = 0;
	assert_string_equal(tokens(text), text);
	text[64] = 'x';
	text[65] = 0;
	assert_string_equal(tokens(text), "ERROR(1:1 Symbol too long)");
}

static void test_nul_is_no_end(void **state)
{
	struct arena *a = arena_create();
	struct lexer *l = lexer_create(a);
	struct token t;

	lexer_open_text(l, "t", "a \0 b", 5, false);
	lexer_next(l, &t);
	assert_int_equal(t.kind, TOK_SYMBOL);
	lexer_next(l, &t);
	assert_int_equal(t.kind, TOK_ERROR);
	assert_string_equal(t.text, "Unknown character");
	/* and again */
	lexer_next(l, &t);
	assert_int_equal(t.kind, TOK_ERROR);
	lexer_destroy(l);
	arena_destroy(a);
}

static void test_places(void **state)
{
	struct arena *a = arena_create();
	struct lexer *l = lexer_create(a);
	const char *text = "one\n  two # x\n/* \n */ three\n\tfour";
	static const unsigned want[][2] = {{1, 1}, {2, 3}, {4, 5}, {5, 2}};
	struct token t;

	lexer_open_text(l, "t", text, strlen(text), false);
	for (int i = 0; i < 4; i++) {
		lexer_next(l, &t);
		assert_int_equal(t.line, want[i][0]);
		assert_int_equal(t.col, want[i][1]);
		assert_string_equal(t.file, "t");
	}
	lexer_next(l, &t);
	assert_int_equal(t.kind, TOK_EOF);
	lexer_next(l, &t);
	assert_int_equal(t.kind, TOK_EOF);
	lexer_destroy(l);
	arena_destroy(a);
}

static void test_spelling_is_interned(void **state)
{
	struct arena *a = arena_create();
	struct lexer *l = lexer_create(a);
	char *text = calloc(1, 40000);
	const char *first = NULL;
	struct token t;
	size_t n = 0;

	for (int i = 0; i < 2000; i++)
		n += (size_t)sprintf(text + n, "same x%d ", i);
	lexer_open_text(l, "t", text, n, false);
	for (int i = 0; i < 2000; i++) {
		lexer_next(l, &t);
		if (!first)
			first = t.text;
		assert_ptr_equal(t.text, first);
		lexer_next(l, &t);
		assert_int_equal(atoi(t.text + 1), i);
	}
	free(text);
	lexer_destroy(l);
	arena_destroy(a);
}

static void test_include_refused_in_text(void **state)
{
	assert_string_equal(tokens("include \"x\";"), "ERROR(1:10 Include not allowed here)");
	/* only at the start of a line it is one */
	assert_string_equal(tokens("a include \"x\";"), "a include \"x\" ;");
	assert_string_equal(tokens("include x;"), "include x ;");
}

static void test_keywords(void **state)
{
	static const char *const words[] = {
		"accept", "protocol", "bgp", "where", "yes", "zero", "if", "in", "us", "ms", "as4"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		assert_true(keyword_known(words[i], strlen(words[i])));
	assert_false(keyword_known("peregrine", 9));
	assert_false(keyword_known("protoco", 7));
	assert_false(keyword_known("protocoll", 9));
	assert_false(keyword_known("", 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tokens),
		cmocka_unit_test(test_long_symbols),
		cmocka_unit_test(test_nul_is_no_end),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_spelling_is_interned),
		cmocka_unit_test(test_include_refused_in_text),
		cmocka_unit_test(test_keywords),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
