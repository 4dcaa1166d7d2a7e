// The other end of the tests with DDS Security: Debian's Cyclone DDS in C, on what its idlc makes of the IDL.
//
//   cyclone-peer DOMAIN TAG FOLDER feed      TOPIC PARTITION  "KEY COUNT SIZE" on its standard input publishes;
//                                                             answers "done"
//   cyclone-peer DOMAIN TAG FOLDER subscribe TOPIC PARTITION  prints "key sequence length" per sample
//
// FOLDER has what deploy/dds/security.sh makes for a node; "-" joins without. Loopback, no multicast. Ends when its
// standard input closes. deploy/tools/build-cyclone-peer.sh builds it.

#include <dds/dds.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "glasshouse.h"

#define RETAINED 16

static dds_entity_t made(dds_entity_t entity, const char *what) {
  if (entity < 0) {
    fprintf(stderr, "no %s: %s\n", what, dds_strretcode(entity));
    _exit(1);
  }
  return entity;
}

static void property(dds_qos_t *qos, const char *name, const char *format, ...) {
  char value[4096];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(value, sizeof value, format, arguments);
  va_end(arguments);
  dds_qset_prop(qos, name, value);
}

// The names of DDS Security 1.1 §9.3.1 and §9.4.1; Debian keeps the plugins where the loader does not look.
static void secure(dds_qos_t *qos, const char *folder) {
  const char *libraries = PLUGINS;
  property(qos, "dds.sec.auth.library.path", "%s/libdds_security_auth.so", libraries);
  property(qos, "dds.sec.auth.library.init", "init_authentication");
  property(qos, "dds.sec.auth.library.finalize", "finalize_authentication");
  property(qos, "dds.sec.access.library.path", "%s/libdds_security_ac.so", libraries);
  property(qos, "dds.sec.access.library.init", "init_access_control");
  property(qos, "dds.sec.access.library.finalize", "finalize_access_control");
  property(qos, "dds.sec.crypto.library.path", "%s/libdds_security_crypto.so", libraries);
  property(qos, "dds.sec.crypto.library.init", "init_crypto");
  property(qos, "dds.sec.crypto.library.finalize", "finalize_crypto");
  property(qos, "dds.sec.auth.identity_ca", "file:%s/identity_ca.pem", folder);
  property(qos, "dds.sec.auth.identity_certificate", "file:%s/certificate.pem", folder);
  property(qos, "dds.sec.auth.private_key", "file:%s/private_key.pem", folder);
  property(qos, "dds.sec.access.permissions_ca", "file:%s/permissions_ca.pem", folder);
  property(qos, "dds.sec.access.governance", "file:%s/governance.p7s", folder);
  property(qos, "dds.sec.access.permissions", "file:%s/permissions.p7s", folder);
}

static dds_entity_t join(dds_domainid_t id, const char *tag, const char *folder) {
  char config[2048];
  snprintf(config, sizeof config,
           "<CycloneDDS><Domain Id=\"any\"><General><Interfaces><NetworkInterface address=\"127.0.0.1\" "
           "multicast=\"false\"/></Interfaces><AllowMulticast>false</AllowMulticast></General><Discovery>"
           "<Tag>%s</Tag><ParticipantIndex>auto</ParticipantIndex><MaxAutoParticipantIndex>99"
           "</MaxAutoParticipantIndex><Peers><Peer address=\"127.0.0.1\"/></Peers></Discovery></Domain></CycloneDDS>",
           tag);
  made(dds_create_domain(id, config), "domain");
  dds_qos_t *qos = dds_create_qos();
  if (strcmp(folder, "-") != 0) secure(qos, folder);
  dds_entity_t participant = made(dds_create_participant(id, qos, NULL), "participant");
  dds_delete_qos(qos);
  return participant;
}

// As Qos::TELEMETRY of crates/dds.
static dds_qos_t *telemetry(int32_t depth) {
  dds_qos_t *qos = dds_create_qos();
  dds_qset_reliability(qos, DDS_RELIABILITY_RELIABLE, DDS_SECS(10));
  dds_qset_durability(qos, DDS_DURABILITY_TRANSIENT_LOCAL);
  if (depth) dds_qset_history(qos, DDS_HISTORY_KEEP_LAST, depth);
  else dds_qset_history(qos, DDS_HISTORY_KEEP_ALL, 0);
  dds_qset_durability_service(qos, 0, DDS_HISTORY_KEEP_LAST, RETAINED, -1, -1, -1);
  return qos;
}

static dds_qos_t *within(const char *partition) {
  dds_qos_t *qos = dds_create_qos();
  dds_qset_partition1(qos, partition);
  return qos;
}

static int feed(dds_entity_t participant, dds_entity_t topic, const char *partition) {
  dds_entity_t publisher = made(dds_create_publisher(participant, within(partition), NULL), "publisher");
  dds_entity_t writer = made(dds_create_writer(publisher, topic, telemetry(0), NULL), "writer");
  printf("ready\n");
  char key[600];
  unsigned count, size;
  uint64_t sequence = 0;
  while (scanf("%599s %u %u", key, &count, &size) == 3) {
    glasshouse_SealedSample sample = {.key = key, .writer = "cyclone-peer", .key_epoch = 1};
    sample.sealed._length = sample.sealed._maximum = size;
    sample.sealed._buffer = calloc(size ? size : 1, 1);
    for (; count > 0; --count) {
      sample.seq = ++sequence;
      if (dds_write(writer, &sample) != DDS_RETCODE_OK) return fprintf(stderr, "not written\n"), 1;
    }
    free(sample.sealed._buffer);
    printf("done\n");
  }
  return 0;
}

static void print(dds_entity_t reader, void *unused) {
  (void)unused;
  void *samples[16] = {NULL};
  dds_sample_info_t infos[16];
  int count;
  while ((count = dds_take(reader, samples, infos, 16, 16)) > 0) {
    for (int at = 0; at < count; ++at) {
      const glasshouse_SealedSample *sample = samples[at];
      if (infos[at].valid_data)
        printf("%s %llu %u\n", sample->key, (unsigned long long)sample->seq, sample->sealed._length);
    }
    dds_return_loan(reader, samples, count);
  }
}

static int subscribe(dds_entity_t participant, dds_entity_t topic, const char *partition) {
  dds_entity_t subscriber = made(dds_create_subscriber(participant, within(partition), NULL), "subscriber");
  dds_listener_t *listener = dds_create_listener(NULL);
  dds_lset_data_available(listener, print);
  made(dds_create_reader(subscriber, topic, telemetry(1024), listener), "reader");
  printf("ready\n");
  while (getchar() != EOF) {
  }
  return 0;
}

int main(int argc, char **argv) {
  if (argc != 7) return fprintf(stderr, "usage: see the head of cyclone.c\n"), 2;
  setvbuf(stdout, NULL, _IOLBF, 0);
  dds_entity_t participant = join((dds_domainid_t)atoi(argv[1]), argv[2], argv[3]);
  dds_entity_t topic =
      made(dds_create_topic(participant, &glasshouse_SealedSample_desc, argv[5], NULL, NULL), "topic");
  int code = strcmp(argv[4], "feed") == 0 ? feed(participant, topic, argv[6]) : subscribe(participant, topic, argv[6]);
  // What a test leaves behind the kernel clears away.
  _exit(code);
}
