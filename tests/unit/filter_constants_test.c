/* SPDX-License-Identifier: BSD-2-Clause */
/* Every operator, method and literal on constants. The answers are those of `birdc eval` of BIRD 2.19. */
#include "tests/unit/filter_support.h"

/* clang-format off */
static const struct expectation constants[] = {
	/* integers */
		{"1 + 2", "3"},
		{"4294967295 + 1", "0"},
		{"1 - 2", "4294967295"},
		{"2 * 3", "6"},
		{"4200000000 * 2", "4105032704"},
		{"7 / 2", "3"},
		{"1 + 2 * 3 - 4 / 2", "5"},
		{"0x10", "16"},
		{"1 < 2", "TRUE"},
		{"2 <= 1", "FALSE"},
		{"2 > 1", "TRUE"},
		{"1 >= 1", "TRUE"},
		{"1 = 1", "TRUE"},
		{"1 != 1", "FALSE"},
		{"1 = \"a\"", "FALSE"},
		{"1 = (0,1)", "FALSE"},
	/* booleans */
		{"true", "TRUE"},
		{"false", "FALSE"},
		{"!true", "FALSE"},
		{"!!true", "TRUE"},
		{"true && false", "FALSE"},
		{"true || false", "TRUE"},
		{"true || false && false", "FALSE"},
		{"1 < 2 && 1 != 3", "TRUE"},
		{"!(true && false)", "TRUE"},
		{"true = true", "TRUE"},
		{"true < false", "FALSE"},
	/* strings */
		{"\"Hello\"", "Hello"},
		{"\"Hello\" ++ \" \" ++ \"world\"", "Hello world"},
		{"\"a\".append(\"b\")", "ab"},
		{"append(\"a\", \"b\")", "ab"},
		{"\"abc\" ~ \"a*\"", "TRUE"},
		{"\"abc\" ~ \"a?c\"", "TRUE"},
		{"\"abc\" ~ \"a?\"", "FALSE"},
		{"\"abc\" !~ \"b*\"", "TRUE"},
		{"\"a*c\" ~ \"a\\*c\"", "TRUE"},
		{"\"\" ~ \"*\"", "TRUE"},
		{"\"a\" < \"b\"", "TRUE"},
		{"format(1234)", "1234"},
		{"format((1,2)) ++ \"x\"", "(1,2)x"},
	/* bytestrings */
		{"hex:01:02", "01:02"},
		{"hex:", ""},
		{"hex:0102 ++ hex:03", "01:02:03"},
		{"from_hex(\"aa bb.cc-dd:ee\")", "aa:bb:cc:dd:ee"},
		{"hex:0102 = hex:01:02", "TRUE"},
	/* pairs */
		{"(1,2)", "(1,2)"},
		{"(65535,0)", "(65535,0)"},
		{"(1,2) < (1,3)", "TRUE"},
		{"(1,2).asn", "1"},
		{"(1,2).data", "2"},
		{"(1,1+1) = (1,2)", "TRUE"},
	/* addresses */
		{"1.2.3.4", "1.2.3.4"},
		{"2001:db8::1", "2001:db8::1"},
		{"1.2.3.4.mask(8)", "1.0.0.0"},
		{"1234:5678::.mask(24)", "1234:5600::"},
		{"1.2.3.4.is_v4", "TRUE"},
		{"2001::.is_v4", "FALSE"},
		{"1.2.3.4 < 1.2.3.5", "TRUE"},
		{"1.2.3.4 ~ 1.0.0.0/8", "TRUE"},
		{"2001:db8::1 ~ 1.0.0.0/8", "FALSE"},
		{"::1.2.3.4", "::1.2.3.4"},
		{"::ffff:1.2.3.4", "1.2.3.4"},
		{"1:0:0:3:4:0:0:7", "1::3:4:0:0:7"},
	/* prefixes */
		{"10.0.0.0/8", "10.0.0.0/8"},
		{"2001:db8::/32", "2001:db8::/32"},
		{"10.0.0.0/8.len", "8"},
		{"10.0.0.0/8.ip", "10.0.0.0"},
		{"10.0.0.0/8.type", "(enum 36)1"},
		{"10.0.0.0/8 ~ 10.0.0.0/7", "TRUE"},
		{"10.0.0.0/7 ~ 10.0.0.0/8", "FALSE"},
		{"10.0.0.0/8 < 10.0.0.0/9", "TRUE"},
		{"10.0.0.0/8 max 24 as 5", "10.0.0.0/8-24 AS5"},
		{"(10.0.0.0/8 max 24 as 5).maxlen", "24"},
		{"(10.0.0.0/8 max 24 as 5).asn", "5"},
		{"1:2 10.0.0.0/8", "1:2 10.0.0.0/8"},
		{"(1:2 10.0.0.0/8).rd", "1:2"},
		{"2001:db8::/32 from 2001::/16", "2001:db8::/32 from 2001::/16"},
		{"(2001:db8::/32 from 2001::/16).src", "2001::/16"},
		{"(2001:db8::/32 from 2001::/16).dst", "2001:db8::/32"},
		{"eth aa:bb:cc:dd:ee:ff", "aa:bb:cc:dd:ee:ff"},
		{"(eth aa:bb:cc:dd:ee:ff vlan 100).vlan_id", "100"},
		{"(eth aa:bb:cc:dd:ee:ff vlan 100).mac", "aa:bb:cc:dd:ee:ff"},
		{"mpls 100", "100"},
		{"aspa 5", "5"},
		{"(aspa 5).asn", "5"},
		{"neighbor 10.1.2.3 % 10", "10.1.2.3%10"},
	/* route distinguishers */
		{"1:2", "1:2"},
		{"0:1:2", "1:2"},
		{"2:1:2", "2:1:2"},
		{"2:70000:2", "70000:2"},
		{"1.2.3.4:5", "1.2.3.4:5"},
	/* extended communities */
		{"(rt, 1, 2)", "(rt, 1, 2)"},
		{"(ro, 70000, 2)", "(ro, 70000, 2)"},
		{"(rt, 1.2.3.4, 5)", "(rt, 1.2.3.4, 5)"},
		{"(generic, 0x43000000, 1)", "(generic, 0x43000000, 0x1)"},
		{"(generic, 1, 2)", "(unknown 0x0, 1, 2)"},
		{"(unknown 0x4300, 1, 2)", "(generic, 0x43000001, 0x2)"},
		{"(unknown 5, 1, 2)", "(unknown 0x5, 1, 2)"},
		{"(rt, 1, 4294967295)", "(rt, 1, 4294967295)"},
		{"(rt, 1, 2) < (rt, 1, 3)", "TRUE"},
	/* large communities */
		{"(1,2,3)", "(1, 2, 3)"},
		{"(4294967295,0,1)", "(4294967295, 0, 1)"},
		{"(1,2,3).asn", "1"},
		{"(1,2,3).data1", "2"},
		{"(1,2,3).data2", "3"},
		{"(1,2,3) < (1,3,0)", "TRUE"},
	/* enums */
		{"RTS_BGP", "(enum 30)11"},
		{"RTD_BLACKHOLE", "(enum 33)2"},
		{"SCOPE_UNIVERSE", "(enum 32)4"},
		{"ORIGIN_IGP", "(enum 31)0"},
		{"ROA_VALID", "(enum 34)1"},
		{"ASPA_INVALID", "(enum 35)2"},
		{"NET_IP6", "(enum 36)2"},
		{"AF_IPV4", "(enum 38)1"},
		{"MPLS_POLICY_VRF", "(enum 39)4"},
		{"NET_EVPN_MAC", "(enum 3a)2"},
		{"RA_PREF_LOW", "(enum 37)24"},
		{"RTS_BGP = RTS_BGP", "TRUE"},
		{"RTS_BGP = SCOPE_HOST", "FALSE"},
	/* sets */
		{"[]", "[]"},
		{"[1]", "[1]"},
		{"[1, 2..5]", "[1, 2..5]"},
		{"[3, 1, 2]", "[1, 2, 3]"},
		{"[1..9, 2..4, 6..8]", "[1..9]"},
		{"[1..4, 3..6, 5..9]", "[1..9]"},
		{"[1..3, 4..6]", "[1..3, 4..6]"},
		{"[(1,2), (3,4)..(4,8), (5,*), (6,3..6)]", "[(1,2), (3,4)..(4,8), (5,0)..(5,65535), (6,3)..(6,6)]"},
		{"[(1..3, 5)]", "[(1,5), (2,5), (3,5)]"},
		{"[(1..2, *)]", "[(1,0)..(2,65535)]"},
		{"[(*, *)]", "[(0,0)..(65535,65535)]"},
		{"[(1,2,3), (20,20,15..25), (30,30,*), (40,35..45,*), (50,*,*), (55..65,*,*)]", "[(1, 2, 3), (20, 20, 15)..(20, 20, 25), (30, 30, 0)..(30, 30, 4294967295), (40, 35, 0)..(40, 45, 4294967295), (50, 0, 0)..(50, 4294967295, 4294967295), (55, 0, 0)..(65, 4294967295, 4294967295)]"},
		{"[(1,2,3)..(2,3,4)]", "[(1, 2, 3)..(2, 3, 4)]"},
		{"[(rt, 10, 20), (ro, 100000, 100..200), (rt, 12345, *)]", "[(rt, 10, 20), (rt, 12345, 0)..(rt, 12345, 4294967295), (ro, 100000, 100)..(ro, 100000, 200)]"},
		{"[1.2.3.4, 10.0.0.0 .. 10.255.255.255]", "[1.2.3.4, 10.0.0.0..10.255.255.255]"},
		{"[10:20, 100000:100..100000:200]", "[10:20, 100000:100..100000:200]"},
		{"[RTS_BGP, RTS_STATIC]", "[(enum 30)1, (enum 30)11]"},
		{"[aa:bb:cc:dd:ee:ff]", "[aa:bb:cc:dd:ee:ff]"},
		{"1 ~ [1..3]", "TRUE"},
		{"4 ~ [1..3]", "FALSE"},
		{"4 !~ [1..3]", "TRUE"},
		{"1 ~ []", "FALSE"},
		{"(5,100) ~ [(5,*)]", "TRUE"},
		{"(1,2,3) ~ [(1,*,*)]", "TRUE"},
		{"(rt,10,20) ~ [(rt,10,*)]", "TRUE"},
		{"1.2.3.4 ~ [1.2.3.0..1.2.3.255]", "TRUE"},
		{"RTS_BGP ~ [RTS_STATIC, RTS_BGP]", "TRUE"},
		{"[1,2] = [2,1]", "TRUE"},
		{"[1,2] = [1,3]", "FALSE"},
		{"[] = []", "TRUE"},
	/* prefix sets */
		{"[10.0.0.0/8]", "[10.0.0.0/8{1.0.0.0}]"},
		{"[10.0.0.0/8+]", "[10.0.0.0/8{1.255.255.255}]"},
		{"[10.0.0.0/8-]", "[0.0.0.0/0, 0.0.0.0/1{128.0.0.0}, 0.0.0.0/2{64.0.0.0}, 0.0.0.0/3{32.0.0.0}, 10.0.0.0/8{255.0.0.0}]"},
		{"[10.0.0.0/8{4,20}]", "[10.0.0.0/8{31.255.240.0}]"},
		{"[10.0.0.0/9+]", "[10.0.0.0/9{0.224.0.0}, 10.0.0.0/12{0.31.255.255}, 10.16.0.0/12{0.31.255.255}, 10.32.0.0/12{0.31.255.255}, 10.48.0.0/12{0.31.255.255}, 10.64.0.0/12{0.31.255.255}, 10.80.0.0/12{0.31.255.255}, 10.96.0.0/12{0.31.255.255}, 10.112.0.0/12{0.31.255.255}]"},
		{"[10.10.160.0/19{19,22}]", "[10.10.160.0/19{0.0.32.0}, 10.10.160.0/20{0.0.28.0}, 10.10.176.0/20{0.0.28.0}]"},
		{"[0.0.0.0/0]", "[0.0.0.0/0]"},
		{"[0.0.0.0/0+]", "[0.0.0.0/0, 0.0.0.0/0{255.255.255.255}]"},
		{"[::/0{0,15}, 2001:db8::/32{29,48}]", "[::/0, ::/0{fffe::}, 2001:db8::/32{0:f:ffff::}]"},
		{"[ 1.2.0.0/16, 1.4.0.0/16+, 44.66.88.64/30{24,28}, 12.34.56.0/24{8,16} ]", "[1.2.0.0/16{0.1.0.0}, 1.4.0.0/16{0.1.255.255}, 12.34.0.0/16{1.255.0.0}, 44.66.88.64/28{0.0.1.240}]"},
		{"[11:22:33:44:c000::/67{67,71}]", "[11:22:33:44:c000::/67{::2000:0:0:0}, 11:22:33:44:c000::/68{::1e00:0:0:0}, 11:22:33:44:d000::/68{::1e00:0:0:0}]"},
		{"[2001:db8::1/128-]", "[::/0, ::/1{8000::}, ::/2{4000::}, 2000::/3{2000::}, 2001:db8::1/128{ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff}]"},
		{"[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128-, 2001:db8:1::/64-]", "[::/0, ::/1{8000::}, 8000::/1{8000::}, ::/2{4000::}, c000::/2{4000::}, 2000::/3{2000::}, e000::/3{2000::}, 2001:db8:1::/64{ffff:ffff:ffff:ffff::}, ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128{ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff}]"},
		{"[10.0.0.1/32-, 10.0.0.0/30{2,32}]", "[0.0.0.0/0, 0.0.0.0/1{128.0.0.0}, 0.0.0.0/2{64.0.0.0}, 0.0.0.0/3{32.0.0.0}, 10.0.0.0/28{255.255.255.240}, 10.0.0.0/29{0.0.0.8}, 10.0.0.0/30{0.0.0.6}, 10.0.0.0/32{0.0.0.1}, 10.0.0.1/32{255.255.255.255}, 10.0.0.2/32{0.0.0.1}, 10.0.0.3/32{0.0.0.1}]"},
		{"10.0.0.0/8 ~ [10.0.0.0/8]", "TRUE"},
		{"10.0.0.0/9 ~ [10.0.0.0/8]", "FALSE"},
		{"10.0.0.0/9 ~ [10.0.0.0/8+]", "TRUE"},
		{"10.0.0.0/7 ~ [10.0.0.0/8-]", "TRUE"},
		{"0.0.0.0/0 ~ [10.0.0.0/8-]", "TRUE"},
		{"10.0.0.0/9 ~ [10.0.0.0/8-]", "FALSE"},
		{"10.64.0.0/10 ~ [10.0.0.0/16{8,12}]", "FALSE"},
		{"10.0.0.0/10 ~ [10.0.0.0/16{8,12}]", "TRUE"},
		{"10.0.0.0/16 ~ [10.0.0.0/16{8,12}]", "FALSE"},
		{"10.0.0.0/8 ~ [2001::/16+]", "FALSE"},
		{"2001:db8::/48 ~ [2001:db8::/32{48,48}]", "TRUE"},
		{"10.0.0.0/8 ~ []", "FALSE"},
		{"[10.0.0.0/8] = [10.0.0.0/8{8,8}]", "TRUE"},
	/* paths */
		{"+empty+", "(path )"},
		{"+empty+.prepend(1).prepend(2)", "(path 2 1)"},
		{"prepend(prepend(+empty+, 1), 2)", "(path 2 1)"},
		{"+empty+.prepend(1).prepend(2).first", "2"},
		{"+empty+.prepend(1).prepend(2).last", "1"},
		{"+empty+.first", "0"},
		{"+empty+.last", "0"},
		{"+empty+.prepend(1).prepend(2).len", "2"},
		{"+empty+.prepend(1).prepend(2).prepend(3).delete(2)", "(path 3 1)"},
		{"+empty+.prepend(1).prepend(2).prepend(3).delete([1..2])", "(path 3)"},
		{"+empty+.prepend(1).prepend(2).prepend(3).filter([1..2])", "(path 2 1)"},
		{"+empty+.prepend(1).empty", "(path )"},
		{"1 ~ +empty+.prepend(1)", "TRUE"},
		{"2 ~ +empty+.prepend(1)", "FALSE"},
		{"+empty+.prepend(1) ~ [1..5]", "TRUE"},
		{"+empty+.prepend(1) ~ []", "FALSE"},
		{"+empty+ ~ [(1,2)]", "FALSE"},
	/* masks */
		{"[= =]", "[= =]"},
		{"[= 1 * ? 2..3 [4, 5] 6+ =]", "[= 1 * ? 2..3 [4, 5] 6 + =]"},
		{"[= (1+1) =]", "[= 2 =]"},
		{"+empty+ ~ [= =]", "TRUE"},
		{"+empty+ ~ [= * =]", "TRUE"},
		{"+empty+ ~ [= ? =]", "FALSE"},
		{"+empty+.prepend(1).prepend(2) ~ [= 2 1 =]", "TRUE"},
		{"+empty+.prepend(1).prepend(2) ~ [= * 1 =]", "TRUE"},
		{"+empty+.prepend(1).prepend(2) ~ [= 2 * =]", "TRUE"},
		{"+empty+.prepend(1).prepend(2) ~ [= * 3 * =]", "FALSE"},
		{"+empty+.prepend(3).prepend(3).prepend(2) ~ [= 2 3+ =]", "TRUE"},
		{"+empty+.prepend(3).prepend(3).prepend(2) ~ [= 2+ 3 =]", "FALSE"},
		{"+empty+.prepend(3).prepend(3).prepend(2) ~ [= *+ 3 =]", "TRUE"},
		{"+empty+.prepend(3).prepend(3).prepend(2) ~ [= ?+ =]", "TRUE"},
		{"+empty+.prepend(5).prepend(4).prepend(3) ~ [= 3 [1..9] 5 =]", "TRUE"},
		{"[= 1 =] = [= 1 =]", "TRUE"},
		{"[= 1 =] = [= 1+ =]", "FALSE"},
	/* community lists */
		{"-empty-", "(clist )"},
		{"-empty-.add((1,2)).add((3,4))", "(clist (1,2) (3,4))"},
		{"-empty-.add((1,2)).add((1,2))", "(clist (1,2))"},
		{"-empty-.add((1,2)).add((3,4)).delete((1,2))", "(clist (3,4))"},
		{"-empty-.add((1,2)).add((3,4)).delete([(1,*)])", "(clist (3,4))"},
		{"-empty-.add((1,2)).add((3,4)).filter([(1,*)])", "(clist (1,2))"},
		{"-empty-.add((1,2)).add(-empty-.add((3,4)).add((1,2)))", "(clist (1,2) (3,4))"},
		{"-empty-.add((1,2)).add((3,4)).delete(-empty-.add((3,4)))", "(clist (1,2))"},
		{"-empty-.add((1,2)).add((3,4)).filter(-empty-.add((3,4)))", "(clist (3,4))"},
		{"-empty-.add((2,1)).add((1,3)).min", "(1,3)"},
		{"-empty-.add((2,1)).add((1,3)).max", "(2,1)"},
		{"-empty-.min", "(0,0)"},
		{"-empty-.add((2,1)).len", "1"},
		{"-empty-.add(1.2.3.4)", "(clist (258,772))"},
		{"-empty-.add(7)", "(clist (0,7))"},
		{"1.2.3.4 ~ -empty-.add(1.2.3.4)", "TRUE"},
		{"(1,2) ~ -empty-.add((1,2))", "TRUE"},
		{"-empty-.add((1,2)) ~ [(1,*)]", "TRUE"},
		{"-empty-.add((1,2)) ~ [(2,*)]", "FALSE"},
		{"-empty-.add((1,2)) ~ []", "FALSE"},
		{"-empty-.add((1,2)) = -empty-.add((1,2))", "TRUE"},
		{"-empty-.add((1,2)).add((3,4)) = -empty-.add((3,4)).add((1,2))", "FALSE"},
		{"--empty--.add((rt,1,2)).add((ro,3,4))", "(eclist (rt, 1, 2) (ro, 3, 4))"},
		{"--empty--.add((rt,1,2)).add((ro,3,4)).delete([(rt,1,*)])", "(eclist (ro, 3, 4))"},
		{"--empty--.add((rt,1,2)).add((ro,3,4)).len", "2"},
		{"--empty--.add((rt,1,2)).max", "(rt, 1, 2)"},
		{"(rt,1,2) ~ --empty--.add((rt,1,2))", "TRUE"},
		{"--empty--.add((rt,1,2)) ~ [(rt,1,*)]", "TRUE"},
		{"---empty---.add((1,2,3)).add((4,5,6))", "(lclist (1, 2, 3) (4, 5, 6))"},
		{"---empty---.add((1,2,3)).add((4,5,6)).delete([(1,*,*)])", "(lclist (4, 5, 6))"},
		{"---empty---.add((1,2,3)).add((4,5,6)).filter([(1,*,*)])", "(lclist (1, 2, 3))"},
		{"---empty---.add((4,5,6)).add((1,2,3)).min", "(1, 2, 3)"},
		{"---empty---.add((1,2,3)).len", "1"},
		{"(1,2,3) ~ ---empty---.add((1,2,3))", "TRUE"},
		{"---empty---.add((1,2,3)) ~ [(1,2..3,*)]", "TRUE"},
		{"add(-empty-, (1,2))", "(clist (1,2))"},
		{"delete(add(-empty-, (1,2)), (1,2))", "(clist )"},
		{"filter(add(-empty-, (1,2)), [(1,2)])", "(clist (1,2))"},
	/* defined */
		{"defined(1)", "TRUE"},
		{"defined(-empty-)", "FALSE"},
		{"defined(-empty-.add((1,2)))", "TRUE"},
		{"defined(-empty-.add((1,2)).delete((1,2)))", "TRUE"},
		{"defined(-empty-.add((1,2)).empty)", "FALSE"},
	/* errors while parsing */
		{"1/0", "9001 filter preevaluation, line 1: Mother told me not to divide by 0"},
		{"(1,70000)", "9001 filter preevaluation, line 1: Can't operate with value out of bounds in pair constructor"},
		{"1 = 2 = 3", "9001 syntax error, unexpected '='"},
		{"1 + \"a\"", "9001 Argument 2 of ADD must be of type int, got type string"},
		{"1 < \"a\"", "9001 Arguments 1 and 2 of LT must be of the same type"},
		{"!1", "9001 Argument 1 of NOT must be of type bool, got type int"},
		{"true && 1", "9001 Argument 2 of AND must be of type bool, got type int"},
		{"1 && true", "9001 Argument 1 of AND must be of type bool, got type int"},
		{"1 ~ \"a\"", "9001 filter preevaluation, line 1: ~ applied on unknown type pair"},
		{"[10.0.0.1/8]", "9001 Invalid IPv4 prefix 10.0.0.1/8, maybe you wanted 10.0.0.0/8"},
		{"10.0.0.1/8", "9001 Invalid IPv4 prefix 10.0.0.1/8, maybe you wanted 10.0.0.0/8"},
		{"10.0.0.0/33", "9001 Invalid prefix length 33"},
		{"10.0.0.0/8 max 7 as 5", "9001 Invalid max prefix length 7"},
		{"[10.0.0.0/8, 2001::/16]", "9001 Mixed IPv4/IPv6 prefixes in prefix set"},
		{"[10.0.0.0/8{7,3}]", "9001 Invalid prefix pattern range: {7, 3}"},
		{"[10.0.0.0/8{7,33}]", "9001 Invalid prefix pattern range: {7, 33}"},
		{"[(3..1,5)]", "9001 From value cannot be higher that To value in pair sets"},
		{"[(1,70000)]", "9001 Value 70000 out of range (0-65535)"},
		{"[(rt,70000,70000)]", "9001 Value 70000 out of range (0-65535)"},
		{"[(\"a\")]", "9001 Set-incompatible type (string)"},
		{"[= + 1 =]", "9001 filter preevaluation, line 1: Path mask iterator '+' cannot be first"},
		{"[= (1.2.3.4) =]", "9001 filter preevaluation, line 1: Error resolving path mask template: value not an integer"},
		{"(ro, 70000, 70000)", "9001 filter preevaluation, line 1: 4-byte value 70000 can't be used with 4-byte ASN in extended community"},
		{"(rt, 1.2.3.4, 70000)", "9001 filter preevaluation, line 1: 4-byte value 70000 can't be used with IP-address key in extended community"},
		{"10.0.0.0/8.maxlen", "9001 filter preevaluation, line 1: ROA expected"},
		{"10.0.0.0/8.rd", "9001 filter preevaluation, line 1: VPN or EVPN address expected"},
		{"(10.0.0.0/8).src", "9001 filter preevaluation, line 1: Flow or SADR expected"},
		{"from_hex(\"a\")", "9001 filter preevaluation, line 1: Invalid hex string"},
		{"-empty-.add(1,2)", "9001 Argument 2 of 'add' expected none, got int"},
		{"-empty-.add()", "9001 Argument 1 of 'add' expected clist / quad / ip / int / pair, got none"},
		{"-empty-.add(\"a\")", "9001 Argument 1 of 'add' expected clist / quad / ip / int / pair, got string"},
		{"+empty+.delete(\"a\")", "9001 Argument 1 of 'delete' expected set / int, got string"},
		{"+empty+.filter(1)", "9001 Argument 1 of 'filter' expected set, got int"},
		{"1.2.3.4.mask(\"a\")", "9001 Argument 1 of 'mask' expected int, got string"},
		{"add(1,2)", "9001 Cannot dispatch method 'add'"},
		{"-empty- ++ -empty-", "9001 Cannot dispatch method 'append'"},
		{"-empty-.filter([RTS_BGP])", "9001 filter preevaluation, line 1: Mismatched set type"},
		{"-empty- ~ [(1,2,3)]", "9001 filter preevaluation, line 1: ~ applied on unknown type pair"},
		{"[1] < [2]", "9001 filter preevaluation, line 1: Can't compare values of incompatible types"},
		{"4294967296", "9001 Number out of range"},
};
/* clang-format on */

/* What differs from BIRD on purpose, or is said in our own words. */
static const struct expectation ours[] = {
	{"[1, (2,3)]", "9001 Elements of a set must be of one type, got int and pair"},
	{"[1..(2)]", "[1..2]"},
	{"[1..1.2.3.4]", "9001 Both ends of a range must be of one type, got int and ip"},
	{"-empty-.foo((1,2))", "9001 Type clist has no method 'foo'"},
	{"1.len", "9001 Type int has no method 'len'"},
	{"\"abc\" ~ \"a*?\"", "TRUE"},
	{"\"a\" ~ \"a*?\"", "FALSE"},
	/* BIRD takes the first for equal and the second for less */
	{"+empty+.prepend(2).prepend(1) = +empty+.prepend(2).prepend(2).prepend(1)", "FALSE"},
	{"+empty+.prepend(1) < +empty+.prepend(1).prepend(1)", "TRUE"},
	{"1:2 < 2:1", "TRUE"},
	{"flow4 { dst 10.0.0.0/8; }", "10.0.0.0/8"},
	{"flow4 { dst 10.0.0.0/8; } = flow4 { dst 10.0.0.0/8; }", "TRUE"},
	{"flow4 { dst 10.0.0.0/8; } = flow4 { dst 10.0.0.0/8; proto = 6; }", "FALSE"},
	{"evpn imet 0:1 7 192.0.2.1 = evpn imet 0:1 7 192.0.2.2", "FALSE"},
};

static void constant_expressions(void **state)
{
	struct config *c = config_of("");
	struct filter_vm *vm = filter_vm_create();

	EXPECT(c, vm, NULL, constants);
	filter_vm_destroy(vm);
	config_release(c);
}

static void own_answers(void **state)
{
	struct config *c = config_of("");
	struct filter_vm *vm = filter_vm_create();

	EXPECT(c, vm, NULL, ours);
	filter_vm_destroy(vm);
	config_release(c);
}

/* Constants are worked out when they are defined; pure functions may be used. */
static void definitions(void **state)
{
	static const struct expectation table[] = {
		{"B", "11"},
		{"S", "[1, 11..20]"},
		{"(B) ~ S", "TRUE"},
		{"T", "(lclist (64500, 1, 11))"},
		{"M", "[= 11 * =]"},
		{"'a-b.c'", "12"},
		{"P", "[10.0.0.0/8{1.255.255.255}]"},
		{"twice(B)", "22"},
		{"fact(10)", "3628800"},
		{"nothing()", "(void)"},
		{"twice(1, 2)", "9001 Function 'twice' expects 1 arguments, got 2 arguments"},
		{"twice(\"a\")", "9001 Argument 1 of 'twice' must be int, got string"},
		{"emptied()", "TRUE"},
		{"unmade()", "FALSE"},
		{"B(1)", "9001 You can't call something which is not a function. Really."},
		{"r4", "9001 Can't get value of symbol r4"},
	};
	struct config *c = config_of(
		"define A = 10;\ndefine B = A + 1;\nroa4 table r4;\n"
		"function twice(int x) -> int { return 2 * x; }\n"
		"function fact(int x) -> int { if x <= 1 then return 1; else return x * fact(x - 1); }\n"
		"function nothing() { }\n"
		"function emptied() -> bool { lclist x = filter(add(---empty---, (1,2,3)), [(4,*,*)]); "
		"return "
		"defined(x); }\n"
		"function unmade() -> bool { lclist x = ---empty---; return defined(x); }\n"
		"define S = [ 1, B..(twice(A)) ];\ndefine T = add(---empty---, (64500, 1, B));\n"
		"define M = [= B * =];\ndefine 'a-b.c' = B + 1;\ndefine P = [ 10.0.0.0/8{8,32} ];\n");
	struct filter_vm *vm = filter_vm_create();

	EXPECT(c, vm, NULL, table);
	filter_vm_destroy(vm);
	config_release(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(constant_expressions),
		cmocka_unit_test(own_answers),
		cmocka_unit_test(definitions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
