import Broker
import Testing
