// Asks Cassandra's own replication strategies. It reads rings, keyspaces and keys
// from its input, a line each, and repeats every line; behind a key it writes the
// key's token and its natural replicas in order, as nodetool getendpoints has
// them. peer_test.go runs it with the class path of cassandra-all, and made
// placement.txt of its output.
import java.io.*;
import java.nio.ByteBuffer;
import java.util.*;
import org.apache.cassandra.config.DatabaseDescriptor;
import org.apache.cassandra.dht.*;
import org.apache.cassandra.locator.*;
import org.apache.cassandra.utils.ByteBufferUtil;

public class Placement {
  static Map<InetAddressAndPort, String[]> place = new HashMap<>();
  static Map<InetAddressAndPort, String> names = new HashMap<>();

  static final AbstractNetworkTopologySnitch snitch = new AbstractNetworkTopologySnitch() {
    public String getRack(InetAddressAndPort e) { return place.get(e)[1]; }
    public String getDatacenter(InetAddressAndPort e) { return place.get(e)[0]; }
  };

  public static void main(String[] args) throws Exception {
    DatabaseDescriptor.clientInitialization(false);
    DatabaseDescriptor.setPartitionerUnsafe(Murmur3Partitioner.instance);
    DatabaseDescriptor.setEndpointSnitch(snitch);
    TokenMetadata tokens = null;
    AbstractReplicationStrategy strategy = null;
    PrintStream out = new PrintStream(new FileOutputStream(FileDescriptor.out), false, "UTF-8");
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
    for (String line; (line = in.readLine()) != null; ) {
      String[] f = line.trim().split(" ");
      out.print(line);
      switch (f[0]) {
        case "ring":
          tokens = new TokenMetadata(snitch);
          place.clear();
          names.clear();
          break;
        case "node":
          int id = Integer.parseInt(f[1]);
          InetAddressAndPort node = InetAddressAndPort.getByName("10.0." + id / 256 + "." + id % 256);
          place.put(node, new String[] { f[2], f[3] });
          names.put(node, f[1]);
          List<Token> own = new ArrayList<>();
          for (int i = 4; i < f.length; i++) own.add(Murmur3Partitioner.instance.getTokenFactory().fromString(f[i]));
          tokens.updateNormalTokens(own, node);
          break;
        case "keyspace":
          Map<String, String> options = new HashMap<>();
          for (int i = 2; i < f.length; i++) options.put(f[i].split("=")[0], f[i].split("=")[1]);
          strategy = f[1].equals("SimpleStrategy")
              ? new SimpleStrategy("ks", tokens, snitch, options)
              : new NetworkTopologyStrategy("ks", tokens, snitch, options);
          break;
        case "key":
          Token token = Murmur3Partitioner.instance.getToken(ByteBufferUtil.hexToBytes(f[1]));
          out.print(" " + token + ":");
          for (Replica r : strategy.getNaturalReplicasForToken(token)) out.print(" " + names.get(r.endpoint()));
          break;
      }
      out.println();
    }
    out.flush();
    System.exit(0); // Cassandra's threads do not end
  }
}
