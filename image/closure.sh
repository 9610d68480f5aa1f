#!/bin/sh
# closure.sh FOLDER: copies git over HTTPS with its large files, the shell that runs its hooks, the libraries they load and the
# certificates they trust, with what Debian says of each package: its licence, and the version by which scanners know it.
set -eu
to=$1
mkdir -p "$to/etc" "$to/tmp" "$to/usr/share/git-core/templates" "$to/var/lib/dpkg/status.d"
chmod 1777 "$to/tmp"
programs='/bin/sh /usr/bin/git /usr/bin/git-lfs /usr/lib/git-core/git-remote-https'
# shellcheck disable=SC2086 # a list
files=$(ldd $programs | sed -n 's|^[^/]*\(/[^ ]*\) (0x.*|\1|p' | sort -u)
# In /etc/gitconfig Debian's git-lfs tells git to use it.
for file in $programs /etc/gitconfig /etc/ssl/certs/ca-certificates.crt $files; do
    cp --dereference --parents --preserve=mode,timestamps "$file" "$to"
done
for name in git-upload-pack git-receive-pack; do ln -s git "$to/usr/bin/$name"; done
ln -s ../../bin/git "$to/usr/lib/git-core/git"
# In a step of Bitbucket's the clone's own address begins with http, and a proxy takes it from there.
ln -s git-remote-https "$to/usr/lib/git-core/git-remote-http"
echo 'root:x:0:0:root:/root:/none' >"$to/etc/passwd"
for file in $programs $files; do
    dpkg --search "$(readlink --canonicalize "$file")" 2>/dev/null || dpkg --search "$file"
done | sed 's/: .*//' | sort -u | while read -r package; do
    name=${package%%:*}
    dpkg --status "$package" >"$to/var/lib/dpkg/status.d/$name"
    cp --dereference --parents "/usr/share/doc/$name/copyright" "$to"
done
