#!/bin/sh
# Asks Azure to delete this machine: one that is only off costs its full price. The identity's token may take a minute after the boot, and
# a role that is new some minutes.
set -u
metadata=http://169.254.169.254/metadata
ask() { curl -sS --noproxy '*' --max-time 10 -H 'Metadata: true' "$metadata/$1"; }
field() { sed -n "s/.*\"$1\" *: *\"\([^\"]*\)\".*/\1/p"; }
attempt=0 limit=@ATTEMPTS@
while [ "$attempt" -lt "$limit" ]; do
  attempt=$((attempt + 1))
  [ "$attempt" -eq 1 ] || sleep 10
  id=$(ask 'instance/compute?api-version=2021-02-01&format=json' | field resourceId)
  token=$(ask 'identity/oauth2/token?api-version=2018-02-01&resource=@RESOURCE@@IDENTITY@' | field access_token)
  if [ -z "$id" ] || [ -z "$token" ]; then continue; fi
  status=$(printf 'Authorization: Bearer %s\n' "$token" | curl -sS --max-time 20 -o /dev/null -w '%{http_code}' -H @- \
    -X DELETE "@MANAGEMENT@$id?api-version=@VERSION@&forceDeletion=true")
  case $status in
    2*|404) exit 0 ;;
    *) echo "cml: Azure does not delete this machine (status $status)" ;;
  esac
done
exit 1
