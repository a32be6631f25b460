#!/bin/sh
# Makes the header that holds the page's script and style as C arrays, and the script's hash as a
# Content-Security-Policy names it.  usage: embed.sh SCRIPT STYLE > HEADER
set -eu

bytes()
{
	echo "static const unsigned char $1[] = {"
	od -An -v -tu1 "$2" | sed 's/\([0-9][0-9]*\)/\1,/g'
	echo "};"
}

# The script stands in a CDATA section as it is.
if grep -q ']]>' "$1" "$2" || LC_ALL=C grep -q "$(printf '\r')" "$1" "$2"; then
	echo "$1, $2: ']]>' and carriage returns have no place in a CDATA section" >&2
	exit 1
fi

hex=$(sha256sum <"$1")
digest=$(for byte in $(echo "${hex%% *}" | sed 's/../0x& /g'); do
	printf "\\$(printf %03o "$byte")"
done | base64)

bytes flamegraph_js "$1"
bytes flamegraph_css "$2"
echo "static const char flamegraph_js_hash[] = \"sha256-$digest\";"
