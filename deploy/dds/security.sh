#!/bin/sh
# Makes what DDS Security 1.1 wants (docs/dds.md): authorities, certificates, and signed documents.
#
#   security.sh house FOLDER               two authorities and the governance document
#   security.sh node FOLDER NAME [DAYS]    a certificate, a key and permissions for one participant, in
#                                          FOLDER/NAME, with copies of what all have; 365 days by default
#   security.sh sign FOLDER FILE.xml       FILE.p7s, after a change of governance or permissions
#
# FOLDER/*.key make participants and rules: keep them off the nodes. Needs openssl(1).
set -eu
usage() { sed -n '4,7s/^# *//p' "$0" >&2; exit 2; }
[ $# -ge 2 ] || usage
what=$1
house=$2
umask 077

# An authority: NAME.pem and NAME.key.
authority() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -sha256 -days 3650 \
        -subj "/O=glasshouse/CN=$2" -keyout "$house/$1.key" -out "$house/$1.pem" 2>"$house/log"
}
sign() {
    openssl smime -sign -text -md sha256 -in "$1.xml" -out "$1.p7s" \
        -signer "$house/permissions_ca.pem" -inkey "$house/permissions_ca.key"
}

case $what in
house)
    [ ! -e "$house/identity_ca.key" ] || { echo "$house has authorities already" >&2; exit 1; }
    mkdir -p "$house"
    authority identity_ca "DDS identities" && authority permissions_ca "DDS permissions" || { cat "$house/log" >&2; exit 1; }
    rm -f "$house/log"
    # All that a message holds is encrypted, discovery included; the payload is sealed besides, by the house.
    cat >"$house/governance.xml" <<XML
<?xml version="1.0" encoding="utf-8"?>
<dds xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
    xsi:noNamespaceSchemaLocation="https://www.omg.org/spec/DDS-SECURITY/20170901/omg_shared_ca_governance.xsd">
  <domain_access_rules>
    <domain_rule>
      <domains><id_range><min>0</min><max>230</max></id_range></domains>
      <allow_unauthenticated_participants>false</allow_unauthenticated_participants>
      <enable_join_access_control>true</enable_join_access_control>
      <discovery_protection_kind>ENCRYPT</discovery_protection_kind>
      <liveliness_protection_kind>ENCRYPT</liveliness_protection_kind>
      <rtps_protection_kind>ENCRYPT</rtps_protection_kind>
      <topic_access_rules>
        <topic_rule>
          <topic_expression>*</topic_expression>
          <enable_discovery_protection>true</enable_discovery_protection>
          <enable_liveliness_protection>true</enable_liveliness_protection>
          <enable_read_access_control>true</enable_read_access_control>
          <enable_write_access_control>true</enable_write_access_control>
          <metadata_protection_kind>NONE</metadata_protection_kind>
          <data_protection_kind>NONE</data_protection_kind>
        </topic_rule>
      </topic_access_rules>
    </domain_rule>
  </domain_access_rules>
</dds>
XML
    sign "$house/governance"
    ;;
node)
    [ $# -ge 3 ] || usage
    name=$3
    days=${4:-365}
    node=$house/$name
    [ -e "$house/identity_ca.key" ] || { echo "$house has no authorities: $0 house $house" >&2; exit 1; }
    mkdir -p "$node"
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -sha256 \
        -subj "/O=glasshouse/CN=$name" -keyout "$node/private_key.pem" -out "$node/request" 2>"$node/log" &&
    openssl x509 -req -sha256 -days "$days" -in "$node/request" -CA "$house/identity_ca.pem" \
        -CAkey "$house/identity_ca.key" -CAcreateserial -out "$node/certificate.pem" 2>>"$node/log" ||
        { cat "$node/log" >&2; exit 1; }
    rm -f "$node/request" "$node/log"
    subject=$(openssl x509 -noout -subject -nameopt RFC2253 -in "$node/certificate.pem")
    from=$(date -u -d '1 day ago' +%Y-%m-%dT%H:%M:%S)
    until=$(date -u -d "$days days" +%Y-%m-%dT%H:%M:%S)
    all='<topics><topic>*</topic></topics><partitions><partition>*</partition></partitions>'
    cat >"$node/permissions.xml" <<XML
<?xml version="1.0" encoding="utf-8"?>
<dds xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
    xsi:noNamespaceSchemaLocation="https://www.omg.org/spec/DDS-SECURITY/20170901/omg_shared_ca_permissions.xsd">
  <permissions>
    <grant name="$name">
      <subject_name>${subject#subject=}</subject_name>
      <validity><not_before>$from</not_before><not_after>$until</not_after></validity>
      <allow_rule>
        <domains><id_range><min>0</min><max>230</max></id_range></domains>
        <publish>$all</publish>
        <subscribe>$all</subscribe>
      </allow_rule>
      <default>DENY</default>
    </grant>
  </permissions>
</dds>
XML
    sign "$node/permissions"
    cp "$house/identity_ca.pem" "$house/permissions_ca.pem" "$house/governance.p7s" "$node"
    ;;
sign)
    [ $# -eq 3 ] || usage
    sign "${3%.xml}"
    ;;
*) usage ;;
esac
