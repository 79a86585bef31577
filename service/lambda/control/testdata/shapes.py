# Prints the shapes of the requests of Lambda's management API as shapes.txt has them, from the installed botocore.
import botocore,json,gzip,os,sys
p=os.path.join(os.path.dirname(botocore.__file__),'data/lambda/2015-03-31/service-2.json.gz')
m=json.load(gzip.open(p)); S=m['shapes']
skip=('Durable','CapacityProvider','CodeSigning','ScalingConfig','InvokeAsync','InvokeWith')
K={'string':'s','integer':'i','long':'i','double':'f','float':'f','boolean':'b','blob':'B','timestamp':'t','structure':'o','list':'l','map':'m'}
# members that nothing here takes, left out with what is in them
DROP={'DurableConfig','CapacityProviderConfig','CodeSigningConfigArn','AmazonManagedKafkaEventSourceConfig','SelfManagedKafkaEventSourceConfig','SelfManagedEventSource','DocumentDBEventSourceConfig','ProvisionedPollerConfig'}
out=['# Made from botocore %s by testdata/shapes.py.'%botocore.__version__]
def line(depth,name,shape,req):
    s=S[shape]; k=K[s['type']]
    lo,hi=s.get('min'),s.get('max')
    b='-' if lo is None and hi is None else '%s..%s'%('' if lo is None else lo,'' if hi is None else hi)
    t=''
    if 'enum' in s: t=' ='+','.join(s['enum'])
    elif 'pattern' in s: t=' ~'+s['pattern']
    l=' '*depth+name+' '+k+('*' if req else '')+' '+b+t
    out.append(l.rstrip(' -') if not t and b=='-' else l)
    if k=='o':
        if name in DROP: return
        for n,v in s['members'].items():
            line(depth+1,n,v['shape'],n in s.get('required',[]))
    elif k=='l': line(depth+1,'[]',s['member']['shape'],False)
    elif k=='m':
        line(depth+1,'{key}',s['key']['shape'],False); line(depth+1,'{value}',s['value']['shape'],False)
for n,o in sorted(m['operations'].items()):
    if any(x in n for x in skip) and n!='GetFunctionCodeSigningConfig' or n=='Invoke' or 'input' not in o: continue
    s=S[o['input']['shape']]
    out.append(n)
    for k,v in s['members'].items(): line(1,k,v['shape'],k in s.get('required',[]))
print('\n'.join(out))
