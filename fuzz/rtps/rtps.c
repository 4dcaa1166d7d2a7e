// The receive path of a participant under libFuzzer (docs/fuzzing.md): Cyclone DDS with coverage and AddressSanitizer, a
// participant with a reader and a writer as ours have them, and what its receiving thread does with a datagram, called
// here. In C, since all of it is Cyclone's.
//
// An input is a sequence of datagrams, each behind two bytes with its length, the lower one first. As in
// crates/dds/tests/robustness.rs those that are for one participant are addressed to this one.
//
// The participant lives in a network namespace of its own: where forged announcements tell it to send, nobody is.

#define _GNU_SOURCE
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <dds/dds.h>

#include "dds/ddsi/ddsi_domaingv.h"
#include "dds/ddsi/ddsi_entity.h"
#include "ddsi__radmin.h"
#include "ddsi__receive.h"
#include "ddsi__thread.h"
#include "ddsi__tran.h"
#include "dds__entity.h"
#include "dds__types.h"

// crates/dds/idl/glasshouse.idl, as crates/dds/src/cyclone/descriptor.rs has it, without type information.
typedef struct {
  char *key;
  char *writer;
  uint64_t seq;
  uint64_t key_epoch;
  int64_t source_time_ns;
  dds_sequence_t sealed;
} Sample;

static const uint32_t ops[] = {
    DDS_OP_DLC,
    DDS_OP_ADR | DDS_OP_FLAG_KEY | DDS_OP_TYPE_STR, offsetof(Sample, key),
    DDS_OP_ADR | DDS_OP_TYPE_STR, offsetof(Sample, writer),
    DDS_OP_ADR | DDS_OP_TYPE_8BY, offsetof(Sample, seq),
    DDS_OP_ADR | DDS_OP_TYPE_8BY, offsetof(Sample, key_epoch),
    DDS_OP_ADR | DDS_OP_TYPE_8BY | DDS_OP_FLAG_SGN, offsetof(Sample, source_time_ns),
    DDS_OP_ADR | DDS_OP_TYPE_SEQ | DDS_OP_SUBTYPE_1BY, offsetof(Sample, sealed),
    DDS_OP_RTS,
    DDS_OP_KOF | 1, 1};
static const dds_key_descriptor_t keys[] = {{"key", 14, 0}};
static const dds_topic_descriptor_t type = {
    .m_size = sizeof(Sample), .m_align = _Alignof(Sample), .m_nkeys = 1, .m_typename = "glasshouse::SealedSample",
    .m_keys = keys, .m_nops = sizeof(ops) / sizeof(ops[0]), .m_ops = ops, .m_meta = ""};

// Forged participants and endpoints stay for their leases: after so many inputs all begins anew, so that what a
// run has in memory is bounded, and a finding has a short history.
#define INPUTS 2000
// Domain 7 has its own ports, 9150 and up, in a network of its own.
#define DOMAIN 7
#define HEADER 20
#define INFO_DST 0x0e

static struct {
  dds_entity_t domain, reader, writer;
  struct ddsi_domaingv *gv;
  struct ddsi_rbufpool *pool;
  unsigned char prefix[12];
  unsigned inputs;
} at;

static void must(int ok, const char *what) {
  if (!ok) {
    perror(what);
    _Exit(1);
  }
}

static void own_network(void) {
  must(unshare(geteuid() == 0 ? CLONE_NEWNET : CLONE_NEWUSER | CLONE_NEWNET) == 0, "a network namespace");
  int socket_ = socket(AF_INET, SOCK_DGRAM, 0);
  struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING | IFF_LOOPBACK};
  must(ioctl(socket_, SIOCSIFFLAGS, &request) == 0, "loopback up");
  close(socket_);
}

static void silent(void *unused, const dds_log_data_t *line) {
  (void)unused;
  (void)line;
}

static dds_qos_t *telemetry(void) {
  dds_qos_t *qos = dds_create_qos();
  dds_qset_reliability(qos, DDS_RELIABILITY_RELIABLE, 0);
  dds_qset_durability(qos, DDS_DURABILITY_TRANSIENT_LOCAL);
  dds_qset_durability_service(qos, 0, DDS_HISTORY_KEEP_LAST, 16, -1, -1, -1);
  dds_qset_history(qos, DDS_HISTORY_KEEP_LAST, 1024);
  return qos;
}

static dds_entity_t made(dds_entity_t entity) {
  must(entity > 0, dds_strretcode(entity));
  return entity;
}

// The fuzzer's thread does the receiving thread's work, and is one of Cyclone's meanwhile.
static struct ddsi_thread_state *work(enum ddsi_thread_state_kind state, struct ddsi_domaingv *gv) {
  struct ddsi_thread_state *self = ddsi_lookup_thread_state();
  self->state = state;
  ddsrt_atomic_stvoidp(&self->gv, gv);
  return self;
}

static void join(void) {
  at.domain = made(dds_create_domain(DOMAIN,
      "<CycloneDDS><Domain Id=\"any\"><General><Interfaces><NetworkInterface address=\"127.0.0.1\"/></Interfaces>"
      "<AllowMulticast>false</AllowMulticast></General><Discovery><ParticipantIndex>0</ParticipantIndex>"
      "<Peers><Peer address=\"127.0.0.1\"/></Peers><LeaseDuration>2s</LeaseDuration></Discovery></Domain></CycloneDDS>"));
  dds_entity_t participant = made(dds_create_participant(DOMAIN, NULL, NULL));
  dds_qos_t *qos = telemetry(), *room = dds_create_qos();
  dds_qset_partition1(room, "room");
  dds_entity_t topic = made(dds_create_topic(participant, &type, "peer_topic", NULL, NULL));
  at.reader = made(dds_create_reader(made(dds_create_subscriber(participant, room, NULL)), topic, qos, NULL));
  at.writer = made(dds_create_writer(made(dds_create_publisher(participant, room, NULL)), topic, qos, NULL));
  Sample sample = {.key = "ups-1", .writer = "fuzz", .seq = 1};
  must(dds_write(at.writer, &sample) == DDS_RETCODE_OK, "a sample");
  dds_delete_qos(qos);
  dds_delete_qos(room);
  dds_guid_t guid;
  must(dds_get_guid(participant, &guid) == DDS_RETCODE_OK, "its GUID");
  memcpy(at.prefix, guid.v, sizeof at.prefix);
  dds_entity *entity;
  must(dds_entity_pin(participant, &entity) == DDS_RETCODE_OK, "its entity");
  at.gv = &entity->m_domain->gv;
  dds_entity_unpin(entity);
  at.pool = ddsi_rbufpool_new(&at.gv->logconfig, at.gv->config.rbuf_size, at.gv->config.rmsg_chunk_size);
  ddsi_rbufpool_setowner(at.pool, ddsrt_thread_self());
}

static void leave(void) {
  // Buffers go back to the pool with what refers to them.
  must(dds_delete(at.domain) == DDS_RETCODE_OK, "the end of the domain");
  ddsi_rbufpool_free(at.pool);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc;
  (void)argv;
  own_network();
  dds_set_log_sink(silent, NULL);
  dds_set_trace_sink(silent, NULL);
  join();
  return 0;
}

static void receive(const uint8_t *data, size_t size) {
  static const ddsi_locator_t from = {
      .kind = DDSI_LOCATOR_KIND_UDPv4, .port = 9999, .address = {[12] = 127, [15] = 1}};
  struct ddsi_network_packet_info packet = {.src = from, .dst = {.kind = DDSI_LOCATOR_KIND_INVALID}};
  struct ddsi_thread_state *self = work(DDSI_THREAD_STATE_ALIVE, at.gv);
  struct ddsi_rmsg *message = ddsi_rmsg_new(at.pool);
  unsigned char *buffer = (unsigned char *)DDSI_RMSG_PAYLOAD(message);
  memcpy(buffer, data, size);
  if (size >= 36 && buffer[HEADER] == INFO_DST) memcpy(buffer + 24, at.prefix, sizeof at.prefix);
  ddsi_rmsg_setsize(message, (uint32_t)size);
  ddsi_handle_rtps_message(self, at.gv, at.gv->data_conn_uc, NULL, at.pool, message, size, &packet);
  ddsi_rmsg_commit(message);
  work(DDSI_THREAD_STATE_LAZILY_CREATED, NULL);
}

static void take(void) {
  void *samples[16] = {NULL};
  dds_sample_info_t infos[16];
  int count;
  while ((count = dds_take(at.reader, samples, infos, 16, 16)) > 0) dds_return_loan(at.reader, samples, count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  while (size > 2) {
    size_t length = (size_t)data[0] | (size_t)data[1] << 8;
    data += 2;
    size -= 2;
    if (length > size) length = size;
    receive(data, length);
    data += length;
    size -= length;
  }
  take();
  if (++at.inputs % INPUTS == 0) {
    leave();
    join();
  }
  return 0;
}
