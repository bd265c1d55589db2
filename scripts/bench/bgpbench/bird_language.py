# SPDX-License-Identifier: BSD-2-Clause
"""A scene in BIRD's language, for BIRD and for ours: written as exchanges generate it, one filter a client."""
from .scene import ADDED, DUT, DUT_AS, PULSE

FUNCTIONS = f"""
function allowed(int peer)
{{
	if (0, peer) ~ bgp_community then return false;
	if ({DUT_AS}, peer) ~ bgp_community then return true;
	if (0, {DUT_AS}) ~ bgp_community then return false;
	return true;
}}
function prepend_to(int peer)
{{
	if (65501, peer) ~ bgp_community then {{ bgp_path.prepend(bgp_path.first); }}
	if (65502, peer) ~ bgp_community then {{ bgp_path.prepend(bgp_path.first); bgp_path.prepend(bgp_path.first); }}
	if (65503, peer) ~ bgp_community then {{ bgp_path.prepend(bgp_path.first); bgp_path.prepend(bgp_path.first); bgp_path.prepend(bgp_path.first); }}
}}
function scrub()
{{
	bgp_community.delete([(0, *), ({DUT_AS}, *), (65501, *), (65502, *), (65503, *)]);
}}
"""

SANITY = """
function bogon()
{
	if net.type = NET_IP4 && net.len > 24 then return true;
	if net.type = NET_IP6 && net.len > 48 then return true;
	return net ~ [0.0.0.0/0, 0.0.0.0/8+, 127.0.0.0/8+, 169.254.0.0/16+, 224.0.0.0/4+];
}
"""


def policy(scene, p, reloaded):
    """The channel's import and export of one peer."""
    if p.feeder:
        return "import all; export none;"
    receive = "import all;" if scene.mode == "rs" else "import none;"
    if scene.refused:
        receive = f"import filter in_{p.name};"
    lines = []
    if scene.control:
        lines += [f"if !allowed({p.asn}) then reject;", f"prepend_to({p.asn});", "scrub();"]
    if scene.reload and reloaded:
        lines += [f"bgp_community.add(({DUT_AS}, {ADDED}));"]
    return receive + (" export filter { " + " ".join(lines) + " accept; };" if lines else " export all;")


def import_filters(scene):
    text = SANITY
    lists = scene.prefix_lists()
    for p in scene.all_peers:
        for f in scene.families:
            mine = [x for x in lists[p.number] if (":" in x) == (f == 6)] + ([PULSE] if f == 4 else [])
            text += f"define PREFIXES_{p.name}_{f} = [ {', '.join(mine)} ];\n"
        nets = " && ".join(f"!(net ~ PREFIXES_{p.name}_{f})" if len(scene.families) == 1 else
                           f"!(net.type = NET_IP{f} && net ~ PREFIXES_{p.name}_{f})" for f in scene.families)
        text += f"""filter in_{p.name} {{
	if bgp_path.first != {p.asn} then reject;
	if bgp_path.len > 64 then reject;
	if bogon() then reject;
	if {nets} then reject;
	accept;
}}
"""
    return text


def config(scene, log, reloaded=False, ours=False):
    text = f"""log "{log}" {{ warning, error, fatal, bug }};
router id {DUT};
"""
    if ours and scene.shards:
        text += f"peregrine {{ io threads {scene.shards}; rib shards {scene.shards}; }}\n"
    text += "protocol device { }\n"
    if scene.control:
        text += FUNCTIONS
    if scene.refused:
        text += import_filters(scene)
    text += f"""template bgp any {{
	local {DUT} as {DUT_AS};
	passive on;
	hold time {scene.hold};
	error wait time 1, 2;
	{"rs client;" if scene.mode == "rs" else ""}
}}
"""
    for p in scene.all_peers:
        channels = "".join(f"\n\tipv{f} {{ {policy(scene, p, reloaded)} }};" for f in scene.families)
        text += f"protocol bgp {p.name} from any {{ neighbor {p.address} as {p.asn};{channels}\n}}\n"
    return text
