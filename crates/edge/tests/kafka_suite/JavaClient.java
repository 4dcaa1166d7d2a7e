// Kafka's own client, driven line by line: a command on standard input, "ok" or "error …" on standard output.
// Run as one source file: java -cp 'LIBS/*' JavaClient.java CLIENT.properties

import java.io.BufferedReader;
import java.io.FileInputStream;
import java.io.InputStreamReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.common.serialization.ByteArraySerializer;

public class JavaClient {
    static Properties base;

    public static void main(String[] arguments) throws Exception {
        base = new Properties();
        try (FileInputStream file = new FileInputStream(arguments[0])) {
            base.load(file);
        }
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        try (Admin admin = Admin.create(base)) {
            for (String line = in.readLine(); line != null; line = in.readLine()) {
                try {
                    run(admin, line.trim().split(" "));
                    System.out.println("ok");
                } catch (Exception error) {
                    System.out.println("error " + String.valueOf(error).replace('\n', ' '));
                }
                System.out.flush();
            }
        }
    }

    static void run(Admin admin, String[] words) throws Exception {
        String topic = words[1];
        switch (words[0]) {
            // topic NAME PARTITIONS REPLICAS
            case "topic" -> admin.createTopics(List.of(new NewTopic(
                    topic, Optional.of(Integer.parseInt(words[2])), Optional.of(Short.parseShort(words[3]))))).all().get();
            case "delete" -> {
                admin.deleteTopics(List.of(topic)).all().get();
                while (admin.listTopics().names().get().contains(topic)) Thread.sleep(20);
            }
            // partitions NAME COUNT
            case "partitions" -> admin.createPartitions(
                    Map.of(topic, NewPartitions.increaseTo(Integer.parseInt(words[2])))).all().get();
            // delete-before NAME PARTITION OFFSET
            case "delete-before" -> admin.deleteRecords(Map.of(
                    new TopicPartition(topic, Integer.parseInt(words[2])),
                    RecordsToDelete.beforeOffset(Long.parseLong(words[3])))).all().get();
            // configure NAME SETTING=VALUE…
            case "configure" -> {
                List<AlterConfigOp> settings = new ArrayList<>();
                for (int n = 2; n < words.length; n++) {
                    String[] setting = words[n].split("=");
                    settings.add(new AlterConfigOp(new ConfigEntry(setting[0], setting[1]), AlterConfigOp.OpType.SET));
                }
                admin.incrementalAlterConfigs(Map.of(
                        new ConfigResource(ConfigResource.Type.TOPIC, topic), settings)).all().get();
            }
            // produce NAME PARTITION CODEC FIRST COUNT BYTES: values "java CODEC N" padded to BYTES
            case "produce" -> {
                Map<String, Object> more = new HashMap<>(Map.of("compression.type", words[3], "linger.ms", "20"));
                try (KafkaProducer<byte[], byte[]> producer = producer(more)) {
                    send(producer, topic, Integer.parseInt(words[2]), "java " + words[3],
                            Integer.parseInt(words[4]), Integer.parseInt(words[5]), Integer.parseInt(words[6]));
                    producer.flush();
                }
            }
            // pour NAME PARTITIONS FILE: "java N" to each partition, every two milliseconds, until the file is there; then "end"
            case "pour" -> {
                int partitions = Integer.parseInt(words[2]);
                Path end = Path.of(words[3]);
                try (KafkaProducer<byte[], byte[]> producer = producer(Map.of("compression.type", "lz4"))) {
                    for (int n = 0; !Files.exists(end); n++) {
                        for (int partition = 0; partition < partitions; partition++) {
                            Future<RecordMetadata> sent = producer.send(record(topic, partition, "java " + n));
                            // A leader takes the first number it sees of a producer for its beginning: where the first
                            // batch is refused and the second is not, the first is out of order for ever.
                            if (n == 0) sent.get();
                        }
                        Thread.sleep(2);
                    }
                    for (int partition = 0; partition < partitions; partition++) {
                        producer.send(record(topic, partition, "end")).get();
                    }
                }
            }
            // transactions NAME PARTITION COUNT: every second one is aborted; a record of an aborted one stands
            // beside each of a committed one
            case "transactions" -> {
                int partition = Integer.parseInt(words[2]);
                try (KafkaProducer<byte[], byte[]> keeps = producer(Map.of("transactional.id", topic + "-keeps"));
                        KafkaProducer<byte[], byte[]> aborts = producer(Map.of("transactional.id", topic + "-aborts"))) {
                    keeps.initTransactions();
                    aborts.initTransactions();
                    for (int n = 0; n < Integer.parseInt(words[3]); n++) {
                        keeps.beginTransaction();
                        aborts.beginTransaction();
                        send(aborts, topic, partition, "aborted", 2 * n, 2, 0);
                        aborts.flush();
                        send(keeps, topic, partition, "kept", 2 * n, 2, 0);
                        keeps.flush();
                        aborts.abortTransaction();
                        keeps.commitTransaction();
                    }
                }
            }
            default -> throw new IllegalArgumentException("unknown command " + words[0]);
        }
    }

    static KafkaProducer<byte[], byte[]> producer(Map<String, Object> more) {
        Map<String, Object> settings = new HashMap<>();
        base.forEach((name, value) -> settings.put(String.valueOf(name), value));
        settings.put("acks", "all");
        settings.put("max.request.size", "4194304");
        settings.putAll(more);
        return new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer());
    }

    static ProducerRecord<byte[], byte[]> record(String topic, int partition, String value) {
        return new ProducerRecord<>(topic, partition, null, value.getBytes());
    }

    static void send(KafkaProducer<byte[], byte[]> producer, String topic, int partition, String words, int first, int count,
            int bytes) {
        for (int n = first; n < first + count; n++) {
            StringBuilder value = new StringBuilder(words + " " + n);
            while (value.length() < bytes) value.append((char) ('a' + value.length() % 26));
            producer.send(new ProducerRecord<>(topic, partition, ("k" + n % 10).getBytes(), value.toString().getBytes()));
        }
    }
}
