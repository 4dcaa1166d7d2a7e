// The other end of the tests with eProsima Fast DDS, on what fastddsgen makes of the IDL.
//
//   fastdds-peer [OPTIONS] feed      TOPIC PARTITION  does what its standard input says, line by line:
//                                                     "KEY COUNT SIZE" publishes, "dispose KEY" disposes;
//                                                     answers "done"
//   fastdds-peer [OPTIONS] subscribe TOPIC PARTITION  prints "key sequence length" per sample, "disposed"
//
//   --interface ADDRESS  the interface to use
//   --peer ADDRESS       where to look for participants; without any, by multicast
//   --newer              of a release to come: the type is that of newer.idl
//
// Ends when its standard input closes. deploy/tools/build-fastdds-peer.sh builds it.

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fastdds/dds/domain/DomainParticipant.hpp>
#include <fastdds/dds/domain/DomainParticipantFactory.hpp>
#include <fastdds/dds/publisher/DataWriter.hpp>
#include <fastdds/dds/publisher/Publisher.hpp>
#include <fastdds/dds/subscriber/DataReader.hpp>
#include <fastdds/dds/subscriber/SampleInfo.hpp>
#include <fastdds/dds/subscriber/Subscriber.hpp>
#include <fastdds/rtps/transport/UDPv4TransportDescriptor.h>
#include <fastrtps/utils/IPLocator.h>
#include <iostream>
#include <string>
#include <vector>

#include "glasshousePubSubTypes.h"
#include "newerPubSubTypes.h"

using namespace eprosima::fastdds::dds;
using eprosima::fastrtps::rtps::InstanceHandle_t;
using eprosima::fastrtps::rtps::IPLocator;
using eprosima::fastrtps::rtps::Locator_t;

namespace {

// RTPS 2.5 §9.6.2.3, domain 0.
constexpr uint32_t kDiscovery = 7410, kData = 7411, kIndexes = 4;

struct Options {
  std::string interface = "127.0.0.1";
  std::vector<std::string> peers;
  bool newer = false;
};

Locator_t locator(const std::string& address, uint32_t port) {
  Locator_t found;
  found.kind = LOCATOR_KIND_UDPv4;
  IPLocator::setIPv4(found, address);
  found.port = port;
  return found;
}

DomainParticipant* join(const Options& options) {
  DomainParticipantQos qos;
  auto udp = std::make_shared<eprosima::fastdds::rtps::UDPv4TransportDescriptor>();
  udp->interfaceWhiteList.push_back(options.interface);
  qos.transport().use_builtin_transports = false;
  qos.transport().user_transports.push_back(udp);
  auto& wire = qos.wire_protocol();
  wire.builtin.discovery_config.leaseDuration = {4, 0};
  wire.builtin.discovery_config.leaseDuration_announcementperiod = {1, 0};
  if (!options.peers.empty()) {
    wire.builtin.metatrafficUnicastLocatorList.push_back(locator(options.interface, kDiscovery));
    wire.default_unicast_locator_list.push_back(locator(options.interface, kData));
    for (const auto& peer : options.peers)
      for (uint32_t index = 0; index < kIndexes; ++index)
        wire.builtin.initialPeersList.push_back(locator(peer, kDiscovery + 2 * index));
  }
  return DomainParticipantFactory::get_instance()->create_participant(0, qos);
}

// As Qos::TELEMETRY of crates/dds.
template <class Qos>
void telemetry(Qos& qos) {
  qos.reliability().kind = RELIABLE_RELIABILITY_QOS;
  qos.reliability().max_blocking_time = {10, 0};
  qos.durability().kind = TRANSIENT_LOCAL_DURABILITY_QOS;
  qos.history().kind = KEEP_LAST_HISTORY_QOS;
  // The longest sample is not known beforehand. (With DYNAMIC_RESERVE_MEMORY_MODE a disposal, which has no
  // data, is refused for ever, and holds up all that follows.)
  qos.endpoint().history_memory_policy = eprosima::fastrtps::rtps::PREALLOCATED_WITH_REALLOC_MEMORY_MODE;
  qos.resource_limits().max_samples = 0;
  qos.resource_limits().max_instances = 0;
  qos.resource_limits().max_samples_per_instance = 0;
  qos.resource_limits().allocated_samples = 0;
}

void add_note(glasshouse::SealedSample&) {}
void add_note(newer::SealedSample& sample) { sample.note("of a newer release"); }
std::string note(const glasshouse::SealedSample&) { return ""; }
std::string note(const newer::SealedSample& sample) { return sample.note().empty() ? "" : " " + sample.note(); }

template <class Sample>
int feed(DomainParticipant* participant, Topic* topic, const char* partition) {
  PublisherQos group;
  group.partition().push_back(partition);
  DataWriterQos qos;
  telemetry(qos);
  // Retained for late readers; Fast DDS keeps both in one history.
  qos.history().depth = 16;
  // More than a datagram holds goes in fragments, which only this mode sends.
  qos.publish_mode().kind = ASYNCHRONOUS_PUBLISH_MODE;
  // As often as Cyclone DDS. The default, 3 s, is how long a late reader may have to wait.
  qos.reliable_writer_qos().times.heartbeatPeriod = {0, 100 * 1000 * 1000};
  auto* writer = participant->create_publisher(group)->create_datawriter(topic, qos);
  if (!writer) return std::cerr << "no writer\n", 1;
  std::cout << "ready" << std::endl;
  Sample sample;
  sample.writer("fastdds-peer");
  add_note(sample);
  std::string word;
  while (std::cin >> word) {
    if (word == "dispose") {
      std::cin >> sample.key();
      writer->dispose(&sample, InstanceHandle_t());
    } else {
      size_t count = 0, size = 0;
      std::cin >> count >> size;
      sample.key(word);
      sample.sealed(std::vector<uint8_t>(size, 7));
      for (; count > 0; --count) {
        sample.seq(sample.seq() + 1);
        if (!writer->write(&sample)) return std::cerr << "not written\n", 1;
        // Keep-last would overwrite what a reader has not got yet.
        if (count % 8 == 1) writer->wait_for_acknowledgments({10, 0});
      }
    }
    std::cout << "done" << std::endl;
  }
  return 0;
}

template <class Sample>
class Printer : public DataReaderListener {
  void on_data_available(DataReader* reader) override {
    Sample sample;
    SampleInfo info;
    while (reader->take_next_sample(&sample, &info) == ReturnCode_t::RETCODE_OK) {
      if (info.valid_data) {
        std::cout << sample.key() << " " << sample.seq() << " " << sample.sealed().size() << note(sample) << std::endl;
      } else if (info.instance_state == NOT_ALIVE_DISPOSED_INSTANCE_STATE) {
        std::cout << "disposed" << std::endl;
      }
      sample = Sample();
    }
  }
};

template <class Sample>
int subscribe(DomainParticipant* participant, Topic* topic, const char* partition) {
  SubscriberQos group;
  group.partition().push_back(partition);
  DataReaderQos qos;
  telemetry(qos);
  qos.history().depth = 1024;
  static Printer<Sample> printer;
  auto* reader = participant->create_subscriber(group)->create_datareader(topic, qos, &printer);
  if (!reader) return std::cerr << "no reader\n", 1;
  std::cout << "ready" << std::endl;
  std::string line;
  while (std::getline(std::cin, line)) {
  }
  return 0;
}

template <class Sample, class Type>
int run(const Options& options, const std::string& mode, const char* name, const char* partition) {
  auto* participant = join(options);
  if (!participant) return std::cerr << "cannot join\n", 1;
  auto* of = new Type();
  // Both releases call it so. Fast DDS 2 tells of types in a way of its own: they are compared by name.
  of->setName("glasshouse::SealedSample");
  of->auto_fill_type_object(false);
  of->auto_fill_type_information(false);
  TypeSupport type(of);
  type.register_type(participant);
  auto* topic = participant->create_topic(name, type.get_type_name(), TOPIC_QOS_DEFAULT);
  if (mode == "feed") return feed<Sample>(participant, topic, partition);
  return subscribe<Sample>(participant, topic, partition);
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  int at = 1;
  for (; at < argc && std::strncmp(argv[at], "--", 2) == 0; ++at) {
    const std::string name = argv[at];
    if (name == "--newer") options.newer = true;
    else if (name == "--interface" && at + 1 < argc) options.interface = argv[++at];
    else if (name == "--peer" && at + 1 < argc) options.peers.push_back(argv[++at]);
    else return std::cerr << "unknown option " << name << "\n", 2;
  }
  const std::string mode = at < argc ? argv[at++] : "";
  if (argc - at != 2 || (mode != "feed" && mode != "subscribe"))
    return std::cerr << "usage: see the head of fastdds.cpp\n", 2;
  const int code = options.newer
      ? run<newer::SealedSample, newer::SealedSamplePubSubType>(options, mode, argv[at], argv[at + 1])
      : run<glasshouse::SealedSample, glasshouse::SealedSamplePubSubType>(options, mode, argv[at], argv[at + 1]);
  // Deleting what the listener's thread works on is not worth the care in a test's peer.
  std::_Exit(code);
}
