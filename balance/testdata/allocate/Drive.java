// Made testdata/allocate/cassandra.txt: javac and java with the class path of the
// Maven artifact org.apache.cassandra:cassandra-all:5.0.9 and its dependencies.
// It prints every join with the tokens chosen, and every leave.
package org.apache.cassandra.dht.tokenallocator;
import java.util.*;
import org.apache.cassandra.dht.*;
import org.apache.cassandra.locator.InetAddressAndPort;
public class Drive {
  public static void main(String[] a) throws Exception {
    org.apache.cassandra.config.DatabaseDescriptor.clientInitialization(false); org.apache.cassandra.config.DatabaseDescriptor.setPartitionerUnsafe(Murmur3Partitioner.instance);
    int tokens = 16, rf = 3;
    for (int racks = 1; racks <= 5; racks++) {
      if (racks == 2) continue; // Cassandra refuses
      Random rnd = new Random(racks);
      Map<InetAddressAndPort, Integer> rackOf = new HashMap<>();
      Map<InetAddressAndPort, Collection<Token>> held = new LinkedHashMap<>();
      int next = 1;
      int events = 0, start = Math.max(rf, racks) ;
      while (events < 100 + start) {
        boolean join = held.size() < start + 1 || (held.size() < 40 && rnd.nextInt(10) < 6);
        if (events < start) join = true;
        if (join) {
          int[] count = new int[racks];
          for (InetAddressAndPort n : held.keySet()) count[rackOf.get(n)]++;
          int rack = 0;
          for (int i = 1; i < racks; i++) if (count[i] < count[rack]) rack = i;
          InetAddressAndPort node = InetAddressAndPort.getByName("127.0." + (next / 250) + "." + (next % 250 + 1)); 
          final int mine = rack; final int rk = racks;
          rackOf.put(node, rack);
          NavigableMap<Token, InetAddressAndPort> map = new TreeMap<>();
          for (Map.Entry<InetAddressAndPort, Collection<Token>> e : held.entrySet())
            if (racks != rf || rackOf.get(e.getKey()) == mine)
              for (Token t : e.getValue()) map.put(t, e.getKey());
          ReplicationStrategy<InetAddressAndPort> s = new ReplicationStrategy<InetAddressAndPort>() {
            public int replicas() { return rk == 3 ? 1 : 3; }
            public Object getGroup(InetAddressAndPort n) { return rk > 3 ? (Object) rackOf.get(n) : n; }
          };
          Collection<Token> got = TokenAllocatorFactory.createTokenAllocator(map, s, Murmur3Partitioner.instance).addUnit(node, tokens);
          // tokens of another rack may collide: as Cassandra, go on to the next free one
          Set<Token> all = new HashSet<>(); for (Collection<Token> c : held.values()) all.addAll(c);
          List<Token> mineTokens = new ArrayList<>();
          for (Token t : got) { while (all.contains(t)) t = t.nextValidToken(); mineTokens.add(t); }
          held.put(node, mineTokens);
          StringBuilder b = new StringBuilder("join racks=" + racks + " n" + next + " r" + rack);
          for (Token t : mineTokens) b.append(' ').append(t);
          System.out.println(b);
          next++;
        } else {
          // the fullest rack gives one up
          int[] count = new int[racks];
          for (InetAddressAndPort n : held.keySet()) count[rackOf.get(n)]++;
          int rack = 0;
          for (int i = 1; i < racks; i++) if (count[i] > count[rack]) rack = i;
          List<InetAddressAndPort> in = new ArrayList<>();
          for (InetAddressAndPort n : held.keySet()) if (rackOf.get(n) == rack) in.add(n);
          InetAddressAndPort gone = in.get(rnd.nextInt(in.size()));
          held.remove(gone);
          int id = Integer.parseInt(gone.getHostAddress(false).split("\\.")[2]) * 250 + Integer.parseInt(gone.getHostAddress(false).split("\\.")[3]) - 1;
          System.out.println("leave racks=" + racks + " n" + id);
        }
        events++;
      }
    }
    System.exit(0);
  }
}
